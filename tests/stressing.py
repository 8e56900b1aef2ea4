"""Writers, aggregators, summarisers and a reconciler at once, for as long as is asked."""

import random
import threading
import time
from collections.abc import Callable, Sized
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from uuid import uuid4

import psycopg

from db.fence import Fence
from db.pool import connect, open_pool
from pipelines import aggregate_daily_stats, reconcile_daily_stats, summarize_usage
from tests.raw_changes import (
    ADDITIONS,
    DELETIONS,
    EDITS,
    Change,
    Rows,
    date_conversations,
    delete_visitor,
    move_visitor,
    people,
)
from tests.recount import (
    differences,
    recount_counters,
    recount_days,
    recount_months,
    stored_counters,
    stored_days,
    stored_months,
)
from tests.stepping import running_job

Story = Callable[[Fence], object]
# A row is picked by a number below this.
PICKS = 10_000
# Several conversations in one statement, in no order, and everybody's: two of them deadlock by
# themselves, whatever triggers do.
UNORDERED = (date_conversations, delete_visitor, move_visitor)
CHANGES: tuple[Change, ...] = tuple(
    each for each in ADDITIONS * 6 + EDITS * 2 + DELETIONS if each not in UNORDERED
)
RUNS_MAX = 50


@dataclass(frozen=True)
class Crew:
    writers: int = 8
    aggregators: int = 4
    summarizers: int = 2
    reconcilers: int = 1
    agents: int = 12


@dataclass
class Outcome:
    """What happened, and what was wrong at the end."""

    writes: int = 0
    runs: int = 0
    seconds: float = 0.0
    deadlocks: int = 0
    messages: int = 0
    errors: list[str] = field(default_factory=list)
    wrong: dict[str, object] = field(default_factory=dict)


@dataclass
class Stress:
    url: str
    rows: Rows
    outcome: Outcome = field(default_factory=Outcome)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, seed: int) -> None:
        """One visitor's or owner's statement after the other, each committed.

        Agents and their owners are everybody's, what hangs on them is this writer's own: an
        application that changes the same rows in two orders at once deadlocks by itself.
        """
        chance = random.Random(seed)
        own = replace(self.rows, conversations=[], messages=[], leads=[], events=[], usage=[])
        done = 0
        with connect(self.url, autocommit=True) as conn:
            while not self.ended.is_set():
                change = chance.choice(CHANGES)
                try:
                    change(conn, own, *(chance.randrange(PICKS) for _ in range(3)))
                    done += 1
                except psycopg.errors.ForeignKeyViolation:
                    # What it was to hang on was deleted before.
                    continue
                except psycopg.Error as error:
                    self.tell(f"{change.__name__}: {error}")
        with self.lock:
            self.outcome.writes += done

    def work(self, kind: str, story: Story) -> None:
        """The job again and again, as a worker that is never idle."""
        done = 0
        with connect(self.url, autocommit=True) as conn, open_pool(self.url, size_max=2) as pool:
            fence = Fence(pool, running_job(conn, kind), 1)
            while not self.ended.is_set():
                try:
                    story(fence)
                    done += 1
                except psycopg.Error as error:
                    self.tell(f"{kind}: {error}")
        with self.lock:
            self.outcome.runs += done

    def tell(self, error: str) -> None:
        with self.lock:
            self.outcome.errors.append(error)


STORIES: dict[str, Story] = {
    "aggregate_daily_stats": aggregate_daily_stats.run,
    "summarize_usage": summarize_usage.run,
    "reconcile_daily_stats": lambda fence: reconcile_daily_stats.run(fence, begin=uuid4()),
}


def stress(url: str, *, duration_s: float, crew: Crew | None = None, seed: int = 1) -> Outcome:
    """Everybody at once, then the marks that are left; figures compared with a naive recount."""
    crew = crew or Crew()
    with connect(url, autocommit=True) as conn:
        made = Stress(url, people(conn, agents=crew.agents))
    counts = (crew.aggregators, crew.summarizers, crew.reconcilers)
    threads = [
        threading.Thread(target=made.write, args=(seed * 1000 + n,)) for n in range(crew.writers)
    ] + [
        threading.Thread(target=made.work, args=(kind, story))
        for count, (kind, story) in zip(counts, STORIES.items(), strict=True)
        for _ in range(count)
    ]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(duration_s)
    made.ended.set()
    for thread in threads:
        thread.join()
    made.outcome.seconds = time.perf_counter() - begun
    settle(url)
    judge(made)
    return made.outcome


def settle(url: str) -> None:
    """Run the stories until nothing is marked."""
    with ExitStack() as stack:
        conn = stack.enter_context(connect(url, autocommit=True))
        pool = stack.enter_context(open_pool(url, size_max=2))
        for _ in range(RUNS_MAX):
            left = conn.execute(
                "SELECT (SELECT count(*) FROM worker.stats_marks)"
                " + (SELECT count(*) FROM worker.usage_marks)"
            ).fetchone()
            if left == (0,):
                return
            for kind in ("aggregate_daily_stats", "summarize_usage"):
                STORIES[kind](Fence(pool, running_job(conn, kind), 1))
        raise AssertionError(f"marks are left after {RUNS_MAX} runs: {left}")


def judge(made: Stress) -> None:
    with connect(made.url, autocommit=True) as conn:
        wrong: dict[str, Sized] = {
            "days": differences(stored_days(conn), recount_days(conn)),
            "months": differences(stored_months(conn), recount_months(conn)),
            "counters": differences(stored_counters(conn), recount_counters(conn)),
            # What the reconciler took for wrong although its mark was only not served yet.
            "alarms": conn.execute("SELECT * FROM worker.stats_differences LIMIT 3").fetchall(),
        }
        made.outcome.wrong = {name: found for name, found in wrong.items() if found}
        row = conn.execute(
            "SELECT deadlocks, (SELECT count(*) FROM public.messages) FROM pg_stat_database"
            " WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        made.outcome.deadlocks, made.outcome.messages = row
