"""The commands of the Procfile: worker, dispatcher, scheduler, and the hidden worker-child."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Annotated
from uuid import UUID, uuid4

import typer

from db.pool import AWAY, Connection, connect, wait_for
from workers import crew, dispatcher, waking
from workers.cli import console
from workers.cli.services import process
from workers.config import Config
from workers.heartbeat import LoopSignal, Watchdog
from workers.jobs import LOOP_QUEUES, QUEUES
from workers.lease import Lease
from workers.memory import settle
from workers.metrics import Flusher
from workers.runway import Runway
from workers.stack import environment
from workers.supervisor import Supervisor
from workers.vigil import MEMORY_MB_MAX, Limits
from workers.watchdog import begin as watch_for_alerts

# Below this a worker would leave after every job.
MEMORY_MB_MIN = 256
# Of a queue in one process: threads, or jobs at a time where they run on its event loop.
THREADS_MAX = 256
SLOTS_MAX = 4096
# A scheduler has little to count and no pool: it connects for each flush.
SELDOM_S = 30.0

log = logging.getLogger(__name__)

QueueOption = Annotated[
    list[str] | None,
    typer.Option("--queue", "-q", help="A queue, or queue:threads; may be repeated. All if left."),
]


MaxJobsOption = Annotated[
    int,
    typer.Option(min=0, help="Replace a process that has ended about so many jobs. 0: never."),
]
MaxMemoryOption = Annotated[
    int,
    typer.Option(
        min=0,
        help="Megabytes of a process: above, it is replaced when what it runs has ended; at half "
        "as much again, at once. 0: no limit.",
    ),
]


def register(app: typer.Typer) -> None:
    app.command("worker")(worker)
    app.command("worker-child", hidden=True)(worker_child)
    app.command("dispatcher")(run_dispatcher)
    app.command("scheduler")(run_scheduler)


def worker(
    queue: QueueOption = None,
    processes: Annotated[int, typer.Option(min=1, max=64, help="Worker processes.")] = 1,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=THREADS_MAX, help="Threads of each queue, in each process."),
    ] = None,
    max_jobs: MaxJobsOption = 0,
    max_memory: MaxMemoryOption = MEMORY_MB_MAX,
) -> None:
    """Run jobs until told to stop; a process that dies, hangs or grows too large is replaced."""
    chosen = parse_queues(queue, threads)
    limits = parse_limits(max_jobs, max_memory)
    with process("supervisor") as found:
        assert found.database_url is not None
        assert found.redis_url is not None
        posts = crew.posts(
            found.database_url, found.redis_url, chosen, count=processes, limits=limits
        )
        Supervisor(posts, environment(found)).run_until_signal()


def worker_child(
    process_id: UUID,
    witness: Annotated[int, typer.Option()],
    queue: QueueOption = None,
    alone: Annotated[bool, typer.Option("--alone")] = False,
    max_jobs: MaxJobsOption = 0,
    max_memory: MaxMemoryOption = 0,
) -> None:
    """One process of `avivro worker`, which starts and replaces it."""
    # Not at the top: the parent and the dispatcher need nothing of what does the work.
    from workers import child

    limits = Limits(jobs_max=max_jobs, memory_mb_max=max_memory)
    duty = child.Duty(process_id, parse_queues(queue, None), witness, alone, limits)
    with process("worker") as found:
        child.run(found, duty)


def run_dispatcher() -> None:
    """Send jobs to the workers, fairly and as late as possible; rescue what dead ones held."""
    stopped = stopped_by_signal()
    settle()
    with process("dispatcher") as found:
        dispatch(found, stopped)


def run_scheduler() -> None:
    """Enqueue what the timetable says, each tick once, however many schedulers there are."""
    watchdog = Watchdog("the scheduler")
    stopped = LoopSignal(stopped_by_signal(), watchdog.beat)
    with process("scheduler", redis=False) as found:
        assert found.database_url is not None
        turn = threading.Lock()
        flusher = Flusher(
            partial(in_turn, turn, found.database_url, name="avivro metrics"), every_s=SELDOM_S
        )
        flusher.start()
        watchdog.start()
        patrol = watch_for_alerts(
            found, role="scheduler", borrow=partial(in_turn, turn, found.database_url)
        )
        # Imports point down and the schedules stand above, so here they are only a name.
        import_module("schedules.clock").serve(found.database_url, stopped)
        patrol.close()
        flusher.close()


@contextmanager
def in_turn(
    turn: threading.Lock, url: str, *, name: str = "avivro watchdog"
) -> Iterator[Connection]:
    """A connection of one's own; who seldom needs one shares the room for it."""
    with turn, connect(url, autocommit=True, name=name) as conn:
        yield conn


def stopped_by_signal() -> threading.Event:
    """Set at SIGTERM and SIGINT."""
    stopped = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        # In a thread: the one that is interrupted here may hold the event's lock.
        signal.signal(name, lambda number, frame: threading.Thread(target=stopped.set).start())
    return stopped


def dispatch(found: Config, stopped: threading.Event) -> None:
    """Dispatch until stopped, connecting again whenever Postgres went away.

    Ends the process when the dispatcher hangs: whoever supervises it starts it again.
    """
    assert found.database_url is not None
    assert found.database_direct_url is not None
    assert found.redis_url is not None
    open_connection = partial(connect, found.database_url, name="avivro dispatcher")
    runway = Runway(found.redis_url)
    watchdog = Watchdog("the dispatcher")
    watchdog.start()
    stopped = LoopSignal(stopped, watchdog.beat)
    wait = waking.listen(
        partial(connect, found.database_direct_url, autocommit=True, name="avivro listen")
    )
    lease = Lease(open_connection, process_id=uuid4(), role="dispatcher", describe=dict)
    # Before Postgres is there: that it is not is worth an alert.
    patrol = watch_for_alerts(found, role="dispatcher")
    wait_for("Postgres", lease.register, stop=stopped.is_set)
    lease.start()
    while not stopped.is_set():
        wait_for("Postgres", lambda: open_connection().close(), stop=stopped.is_set)
        try:
            with open_connection() as conn:
                dispatcher.Dispatcher(conn, runway, wait=wait).run(stopped)
        except AWAY as error:
            log.warning("Postgres went away: %s", str(error).strip().partition("\n")[0])
    patrol.close()
    lease.resign()


def parse_queues(queues: list[str] | None, threads: int | None) -> dict[str, int]:
    """Threads (on the loop: slots) by queue. Exits with 2 for a queue that does not exist."""
    chosen: dict[str, int] = {}
    for text in queues or QUEUES:
        name, _, number = text.partition(":")
        if name not in QUEUES:
            console.fail(f"--queue={text}: give one of {', '.join(QUEUES)}", code=2)
        is_on_loop = name in LOOP_QUEUES
        number_max = SLOTS_MAX if is_on_loop else THREADS_MAX
        if number and not 0 < int_or_zero(number) <= number_max:
            what = "jobs at a time" if is_on_loop else "threads"
            console.fail(f"--queue={text}: give from 1 to {number_max} {what}", code=2)
        chosen[name] = int_or_zero(number) or (not is_on_loop and threads) or QUEUES[name]
    return chosen


def parse_limits(max_jobs: int, max_memory: int) -> Limits:
    """Exits with 2 for a ceiling below what a process needs."""
    if 0 < max_memory < MEMORY_MB_MIN:
        console.fail(f"--max-memory={max_memory}: give at least {MEMORY_MB_MIN}, or 0", code=2)
    return Limits(jobs_max=max_jobs, memory_mb_max=max_memory)


def int_or_zero(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
