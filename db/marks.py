"""Statements about what triggers marked; see marks.sql. No function commits."""

from dataclasses import dataclass
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("marks")


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs that were enqueued. With `next_agent` more marked agents follow behind that one."""

    enqueued: int
    next_agent: UUID | None


def enqueue_marked(conn: Connection, *, after: UUID | None, agents_max: int) -> Page:
    """Enqueue what is marked and has no unfinished job, of `agents_max` agents behind `after`."""
    cursor = conn.cursor(row_factory=class_row(Page))
    page = cursor.execute(SQL.enqueue_marked, {"after": after, "agents_max": agents_max}).fetchone()
    assert page is not None
    return page
