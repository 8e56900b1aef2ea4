"""Many callers' database work in few transactions, on a real Postgres."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

from db import jobs
from db.batches import Batches
from db.pool import AWAY, Connection, connect

WAIT_S = 30.0

Work = Callable[[Connection, Sequence[str]], Sequence[int]]


class Store:
    """Leaves a mark for each item; its answers are the items' lengths."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.held = threading.Event()
        self.held.set()

    def __call__(self, conn: Connection, items: Sequence[str]) -> list[int]:
        self.held.wait(WAIT_S)
        self.batches.append(list(items))
        for item in items:
            jobs.append_effect(conn, effect=item, job_id=1, attempt=1)
        return [len(item) for item in items]


@contextmanager
def batches(database_url: str, work: Work, *, waits: bool = True) -> Iterator[Batches[str, int]]:
    open_connection = partial(connect, database_url, autocommit=True, name="batches")
    running = Batches(open_connection, work, name="store", waits=waits)
    running.start()
    yield running
    running.close(timeout_s=WAIT_S)
    assert not running.is_alive()


def together(store: Store, running: Batches[str, int], items: Sequence[str]) -> list["Future[int]"]:
    """Submit a first item on whose commit the others wait, as one batch."""
    store.held.clear()
    futures = [running.submit(item) for item in ["first", *items]]
    store.held.set()
    return futures[1:]


def marks(conn: Connection) -> set[str]:
    rows = conn.execute("SELECT effect FROM worker.probe_effects").fetchall()
    return {effect for (effect,) in rows}


def cut_connections(conn: Connection) -> None:
    conn.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'batches' AND datname = current_database()"
    )


def test_what_waits_is_one_batch_answered_in_order(conn: Connection, database_url: str) -> None:
    store = Store()
    items = ["a" * n for n in range(1, 101)]

    with batches(database_url, store) as running:
        answers = [future.result(WAIT_S) for future in together(store, running, items)]

    assert answers == list(range(1, 101))
    assert len(store.batches) <= 3
    assert marks(conn) == {"first", *items}


def test_coroutines_that_ask_together_are_answered_in_order(database_url: str) -> None:
    store = Store()

    async def ask(running: Batches[str, int]) -> list[int]:
        store.held.clear()
        first = asyncio.create_task(running.ask("first"))
        others = [asyncio.create_task(running.ask("a" * n)) for n in range(1, 101)]
        gone = asyncio.create_task(running.ask("gone"))
        await asyncio.sleep(0)
        gone.cancel()
        store.held.set()
        await first
        return await asyncio.gather(*others)

    with batches(database_url, store) as running:
        assert asyncio.run(ask(running)) == list(range(1, 101))

    assert len(store.batches) <= 3
    assert "gone" in store.batches[-1]


def test_a_coroutine_gets_the_error_of_its_item_alone(database_url: str) -> None:
    async def ask(running: Batches[str, int]) -> list[Any]:
        asked = (running.ask(item) for item in ("good", "nul \0 byte"))
        return await asyncio.gather(*asked, return_exceptions=True)

    with batches(database_url, Store()) as running:
        good, bad = asyncio.run(ask(running))

    assert good == 4
    assert isinstance(bad, psycopg.DataError)


def test_a_batch_is_one_transaction(conn: Connection, database_url: str) -> None:
    seen: list[set[str]] = []

    def work(own: Connection, items: Sequence[str]) -> list[int]:
        for item in items:
            jobs.append_effect(own, effect=item, job_id=1, attempt=1)
            seen.append(marks(conn))
        return [0 for _ in items]

    with batches(database_url, work) as running:
        running.submit("a").result(WAIT_S)

    assert seen == [set()]
    assert marks(conn) == {"a"}


def test_the_guilty_item_alone_gets_its_error(conn: Connection, database_url: str) -> None:
    store = Store()

    with batches(database_url, store) as running:
        good, bad, other = together(store, running, ["good", "nul \0 byte", "other"])

        assert (good.result(WAIT_S), other.result(WAIT_S)) == (4, 5)
        with pytest.raises(psycopg.DataError):
            bad.result(WAIT_S)

    assert marks(conn) == {"first", "good", "other"}


def test_an_item_that_takes_too_long_is_guilty_too(database_url: str) -> None:
    def work(conn: Connection, items: Sequence[str]) -> list[int]:
        conn.execute("SELECT set_config('statement_timeout', '20ms', true)")
        for item in items:
            conn.execute("SELECT pg_sleep(%s)", [0.5 if item == "slow" else 0])
        return [0 for _ in items]

    with batches(database_url, work) as running:
        slow, quick = running.submit("slow"), running.submit("quick")

        assert quick.result(WAIT_S) == 0
        with pytest.raises(psycopg.errors.QueryCanceled):
            slow.result(WAIT_S)


def test_too_few_answers_are_an_error_and_store_nothing(
    conn: Connection, database_url: str
) -> None:
    def work(own: Connection, items: Sequence[str]) -> list[int]:
        jobs.append_effect(own, effect=items[0], job_id=1, attempt=1)
        return []

    with batches(database_url, work) as running, pytest.raises(ValueError, match="0 answers"):
        running.submit("a").result(WAIT_S)

    assert marks(conn) == set()


def test_a_store_waits_for_postgres(conn: Connection, database_url: str) -> None:
    store = Store()

    with batches(database_url, store) as running:
        running.submit("before").result(WAIT_S)
        cut_connections(conn)
        after = running.submit("after").result(WAIT_S)

    assert after == 5
    assert marks(conn) == {"before", "after"}


def test_a_load_fails_while_postgres_is_away(conn: Connection, database_url: str) -> None:
    with batches(database_url, Store(), waits=False) as running:
        running.submit("before").result(WAIT_S)
        cut_connections(conn)
        with pytest.raises(AWAY):
            running.submit("during").result(WAIT_S)
        after = running.submit("after").result(WAIT_S)

    assert after == 5
    assert marks(conn) == {"before", "after"}


def test_closing_does_what_was_submitted_and_takes_nothing_more(
    conn: Connection, database_url: str
) -> None:
    store = Store()

    with batches(database_url, store) as running:
        together(store, running, ["a", "b"])

    assert marks(conn) == {"first", "a", "b"}
    with pytest.raises(RuntimeError, match="closed"):
        running.submit("late")


def test_an_item_is_stored_although_nobody_waits_for_it(
    conn: Connection, database_url: str
) -> None:
    store = Store()

    with batches(database_url, store) as running:
        (left,) = together(store, running, ["left"])
        left.cancel()

    assert marks(conn) == {"first", "left"}
