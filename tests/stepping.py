"""Runs a story in a thread, statement by statement, as the test says: races that come again."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from db import processes
from db.fence import Fence
from db.pool import Connection, Pool, connect

# A statement that takes longer than this is taken to wait for a lock.
STEP_S_MAX = 0.05
END_S_MAX = 30.0


class Gate:
    """Whoever passes waits for a permit, until the gate is opened."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.permits = 0
        self.is_open = False
        self.is_waiting = False

    def pass_through(self) -> None:
        with self.changed:
            self.is_waiting = True
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.is_open or self.permits)
            self.permits = max(0, self.permits - 1)
            self.is_waiting = False

    def permit(self) -> None:
        """Let one through and wait until the next comes, but not for long."""
        with self.changed:
            self.permits += 1
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.is_waiting and not self.permits, STEP_S_MAX)

    def open(self) -> None:
        with self.changed:
            self.is_open = True
            self.changed.notify_all()


class Stepped:
    """A story on connections whose every statement and commit passes a gate."""

    def __init__(self, url: str, story: Callable[[Pool], object]) -> None:
        self.gate = Gate()
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self.run, args=(url, story), daemon=True)
        self.thread.start()

    def run(self, url: str, story: Callable[[Pool], object]) -> None:
        try:
            with gated_pool(url, self.gate) as pool:
                story(pool)
        except BaseException as error:  # noqa: BLE001 - told by finish()
            self.error = error
        finally:
            self.gate.open()

    @property
    def is_over(self) -> bool:
        return not self.thread.is_alive()

    def step(self) -> None:
        if not self.is_over:
            self.gate.permit()

    def finish(self) -> None:
        """Let it run to its end. Raises what it raised."""
        self.gate.open()
        self.thread.join(END_S_MAX)
        assert self.is_over, "a story hangs although nobody else has a transaction open"
        if self.error:
            raise self.error


@contextmanager
def gated_pool(url: str, gate: Gate) -> Iterator[Pool]:
    class Cursor(psycopg.Cursor[Any]):
        def execute(self, *args: Any, **kwargs: Any) -> Any:
            gate.pass_through()
            return super().execute(*args, **kwargs)

    class Gated(psycopg.Connection[TupleRow]):
        def commit(self) -> None:
            gate.pass_through()
            super().commit()

    def configure(conn: Connection) -> None:
        conn.cursor_factory = Cursor

    with ConnectionPool[Connection](
        url,
        connection_class=Gated,
        min_size=0,
        max_size=2,
        kwargs={"prepare_threshold": None},
        configure=configure,
        open=True,
    ) as pool:
        yield pool


def hold_job(url: str, kind: str) -> Callable[[Pool], Fence]:
    """A running job of the kind; gives its fence on a pool. Each call is one attempt of its own."""

    def fence(pool: Pool) -> Fence:
        with connect(url, autocommit=True) as conn:
            return Fence(pool, running_job(conn, kind), 1)

    return fence


def running_job(conn: Connection, kind: str) -> int:
    worker_id = uuid4()
    processes.register(conn, id=worker_id, role="worker", host="here", pid=1, queues={})
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts, worker_id)"
        " VALUES (%s, 'default', 'running', 1, 3, %s) RETURNING id",
        (kind, worker_id),
    ).fetchone()
    assert row is not None
    return int(row[0])
