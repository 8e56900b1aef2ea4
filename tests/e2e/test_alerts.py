"""The only worker is killed: operators hear of it, and of its return."""

import signal
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from db.alerts import Calm
from db.pool import Connection, Pool, open_pool
from tests.processes import Avivro, children, kill_group, wait_until
from tests.watching import Post, posting, watchdog_of
from workers.alert_rules import Rules
from workers.watchdog import Patrol

# What takes a minute elsewhere takes a second here.
QUICK = Rules(every_s=0.5, grace_s=1.0, gap_s=5.0, calm=Calm(1.0, 1.0, 0.0))


@pytest.fixture
def post() -> Iterator[Post]:
    with posting() as post:
        yield post


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with open_pool(database_url, size_max=2, autocommit=True) as pool:
        yield pool


def test_the_death_of_the_only_worker_is_told_once_and_so_is_its_return(
    conn: Connection, commands: Avivro, pool: Pool, post: Post, redis_url: str
) -> None:
    for name in ("worker", "dispatcher", "scheduler"):
        commands.start(name)
    wait_until(lambda: roles(conn) >= {"worker", "dispatcher", "scheduler"}, "all are alive")
    patrol = Patrol(watchdog_of(pool, post, rules=QUICK, redis_url=redis_url))
    patrol.start()

    kill_all(commands)
    expire_leases(conn)
    wait_until(lambda: ("no_worker", "opened") in post.events(), "the alert")
    commands.start("worker")
    wait_until(lambda: ("no_worker", "recovered") in post.events(), "the recovery")
    patrol.close()

    assert post.events().count(("no_worker", "opened")) == 1
    assert post.events().count(("no_worker", "recovered")) == 1
    assert sum("No worker is alive" in subject for subject in post.subjects()) == 2


def roles(conn: Connection) -> set[str]:
    return {
        row[0]
        for row in conn.execute(
            "SELECT role FROM worker.processes WHERE expires_at > clock_timestamp()"
        ).fetchall()
    }


def kill_all(commands: Avivro) -> None:
    """As when a machine loses its power: neither the worker nor its parent can say a word."""
    worker = commands.started["worker"]
    family: list[psutil.Process] = children(worker)
    kill_group(worker, signal.SIGKILL)
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    worker.wait()


def expire_leases(conn: Connection) -> None:
    """What 20 seconds would do."""
    conn.execute("UPDATE worker.processes SET expires_at = now() WHERE role = 'worker'")
