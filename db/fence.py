"""The connections of one attempt of one job: what it writes stands only while it holds the job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from db import jobs
from db.pool import Connection, Pool


class LeaseLost(Exception):
    """Another process holds the job now: nothing of this attempt may be stored."""


class Cancelled(Exception):
    """Somebody asked this job to stop."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Reading is free; each writing transaction first locks the job's row for this attempt.

    Each of its methods raises Cancelled once the job was asked to stop.
    """

    pool: Pool
    job_id: int
    attempt: int
    is_cancelled: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """For a long step without a transaction: call it now and then."""
        if self.is_cancelled():
            raise Cancelled(f"job {self.job_id}, attempt {self.attempt}")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that stores nothing."""
        self.check()
        with self.pool.connection() as conn:
            conn.read_only = True
            try:
                yield conn
            finally:
                conn.rollback()
                conn.read_only = None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that commits at its end. Raises LeaseLost, and then stores nothing."""
        self.check()
        with self.pool.connection() as conn:
            if not jobs.hold(conn, job_id=self.job_id, attempt=self.attempt):
                raise LeaseLost(f"job {self.job_id}, attempt {self.attempt}")
            yield conn

    def note(self, conn: Connection, progress: dict[str, Any]) -> None:
        """Like report(), within a transaction of write()."""
        jobs.report_progress(
            conn, job_id=self.job_id, attempt=self.attempt, progress=Jsonb(progress)
        )

    def report(self, progress: dict[str, Any]) -> None:
        """Show `progress` on the job's row; silently nothing when the lease is lost."""
        self.check()
        with self.pool.connection() as conn:
            self.note(conn, progress)
