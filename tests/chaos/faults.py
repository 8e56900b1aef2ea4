"""What goes wrong: each fault is injected, lasts a while where it lasts, and is healed."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil
import psycopg
import redis

from db.pool import connect
from tests.chaos.world import World

Injection = Callable[[World, random.Random, float], None]

STORM_ROUNDS = 6
STORM_PAUSE_S = 0.3
CHILD_S_MAX = 30.0
LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Fault:
    """`lasts_s`: in the full run. With `from_start`, recovery counts from its beginning, for
    whatever it holds must be freed while it lasts.
    """

    name: str
    inject: Injection
    lasts_s: float = 0.0
    from_start: bool = False


def kill_child(world: World, luck: random.Random, lasts_s: float) -> None:
    with suppress(psutil.NoSuchProcess):
        choose_child(world, luck).kill()


def kill_parent(world: World, luck: random.Random, lasts_s: float) -> None:
    """Its children find out by themselves."""
    world.fleet.running[luck.choice(world.fleet.workers())].kill()


def kill_command(world: World, luck: random.Random, lasts_s: float) -> None:
    signal_group(world, luck.choice(world.fleet.workers()), signal.SIGKILL)


def kill_dispatcher(world: World, luck: random.Random, lasts_s: float) -> None:
    signal_group(world, luck.choice(world.fleet.dispatchers()), signal.SIGKILL)


def kill_all(world: World, luck: random.Random, lasts_s: float) -> None:
    for name in world.fleet.posts:
        signal_group(world, name, signal.SIGKILL)


def freeze_child(world: World, luck: random.Random, lasts_s: float) -> None:
    """Its parent ends it; nobody thaws it."""
    with suppress(psutil.NoSuchProcess):
        choose_child(world, luck).suspend()


def choose_child(world: World, luck: random.Random) -> psutil.Process:
    """One that runs jobs, unless none does."""
    found: list[psutil.Process] = []
    until = time.monotonic() + CHILD_S_MAX
    while not found and time.monotonic() < until:
        found = sorted(world.fleet.children(), key=lambda child: child.pid)
        time.sleep(0 if found else LOOK_EVERY_S)
    busy = world.ask(
        "SELECT p.pid FROM worker.processes AS p JOIN worker.jobs AS j ON j.worker_id = p.id "
        "WHERE j.state = 'running'"
    )
    return luck.choice([each for each in found if (each.pid,) in busy] or found)


def freeze_command(world: World, luck: random.Random, lasts_s: float) -> None:
    freeze(world, luck.choice(world.fleet.workers()), lasts_s)


def freeze_dispatcher(world: World, luck: random.Random, lasts_s: float) -> None:
    freeze(world, luck.choice(world.fleet.dispatchers()), lasts_s)


def freeze(world: World, name: str, lasts_s: float) -> None:
    group = world.fleet.running[name].pid
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGSTOP)
        time.sleep(lasts_s)
        os.killpg(group, signal.SIGCONT)


def signal_group(world: World, name: str, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(world.fleet.running[name].pid, number)


def flush_redis(world: World, luck: random.Random, lasts_s: float) -> None:
    with redis.Redis.from_url(world.redis_url) as client:
        client.flushall()


def kill_redis(world: World, luck: random.Random, lasts_s: float) -> None:
    kill_server(world, "redis", lasts_s)


def kill_postgres(world: World, luck: random.Random, lasts_s: float) -> None:
    kill_server(world, "postgres", lasts_s)


def kill_server(world: World, name: str, lasts_s: float) -> None:
    """Its keeper starts it again; at once, or when it is let go."""
    keeper = world.keeper(name)
    if lasts_s:
        keeper.suspend()
    world.server(name).kill()
    time.sleep(lasts_s)
    keeper.resume()


def end_sessions(world: World, luck: random.Random, lasts_s: float) -> None:
    for _ in range(STORM_ROUNDS):
        world.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        time.sleep(STORM_PAUSE_S)


def crowd(number: int) -> Injection:
    """So many sessions that do nothing."""

    def inject(world: World, luck: random.Random, lasts_s: float) -> None:
        with idle_sessions(world.database_url, number):
            time.sleep(lasts_s)

    return inject


@contextmanager
def idle_sessions(database_url: str, number: int) -> Iterator[None]:
    sessions = []
    try:
        for _ in range(number):
            sessions.append(connect(database_url, autocommit=True, name="chaos idle"))
        yield
    finally:
        for session in sessions:
            session.close()


def hold_xmin(world: World, luck: random.Random, lasts_s: float) -> None:
    """A transaction that wrote and does not end: nothing newer can be vacuumed."""
    with suppress(psycopg.OperationalError), connect(world.database_url, name="chaos xmin") as conn:
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        conn.execute("CREATE TABLE chaos.held ()")
        time.sleep(lasts_s)
        conn.rollback()


# fmt: off
FULL = (
    Fault("worker process killed", kill_child),
    Fault("worker parent killed", kill_parent),
    Fault("worker command killed, with children", kill_command),
    Fault("dispatcher killed", kill_dispatcher),
    Fault("all workers and dispatchers killed", kill_all),
    Fault("worker process frozen", freeze_child, from_start=True),
    Fault("worker command frozen, then thawed", freeze_command, 27.0, from_start=True),
    Fault("dispatcher frozen, then thawed", freeze_dispatcher, 15.0, from_start=True),
    Fault("Redis FLUSHALL", flush_redis),
    Fault("Redis killed", kill_redis),
    Fault("Redis down for 5 s", kill_redis, 5.0),
    Fault("Postgres killed", kill_postgres),
    Fault("Postgres down for 5 s", kill_postgres, 5.0),
    Fault("pg_terminate_backend storm", end_sessions),
    Fault("300 idle connections", crowd(300), 10.0, from_start=True),
    Fault("a writer that holds xmin", hold_xmin, 20.0, from_start=True),
)
SHORT = (
    Fault("worker process killed", kill_child),
    Fault("dispatcher killed", kill_dispatcher),
    Fault("Redis FLUSHALL", flush_redis),
    Fault("worker parent killed", kill_parent),
    Fault("Redis down for 1 s", kill_redis, 1.0),
    Fault("pg_terminate_backend storm", end_sessions),
    Fault("Postgres killed", kill_postgres),
    Fault("dispatcher frozen, then thawed", freeze_dispatcher, 3.0, from_start=True),
    Fault("30 idle connections", crowd(30), 1.0, from_start=True),
    Fault("a writer that holds xmin", hold_xmin, 2.0, from_start=True),
)
# fmt: on
