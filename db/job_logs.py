"""Statements about what jobs logged; see job_logs.sql. No function commits."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("job_logs")

LINES_SHOWN_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Line:
    """A line that an attempt of a job logged."""

    attempt: int
    at: datetime
    level: str
    logger: str
    message: str


def copy_lines(conn: Connection, lines: Iterable[tuple[int, Line]]) -> None:
    """Store lines with the ids of their jobs, in this order."""
    with conn.cursor().copy(SQL.copy_lines) as copy:
        for job_id, line in lines:
            copy.write_row((job_id, line.attempt, line.at, line.level, line.logger, line.message))


def list_lines(conn: Connection, job_id: int) -> list[Line]:
    """What all attempts of the job logged, oldest first."""
    arguments = {"job_id": job_id, "rows_max": LINES_SHOWN_MAX}
    return conn.cursor(row_factory=class_row(Line)).execute(SQL.list_lines, arguments).fetchall()
