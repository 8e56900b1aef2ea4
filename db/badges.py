"""Statements about what the bar shows; see badges.sql."""

from dataclasses import dataclass

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load
from db.watched_sources import FAILURES_MIN

SQL = load("badges")

COUNT_MAX = 99


@dataclass(frozen=True, slots=True)
class Badges:
    """Each up to COUNT_MAX + 1, which means more."""

    discards: int
    paused_queues: int
    paused_tenants: int
    failing_sources: int
    stopped_webhooks: int
    uncertain_emails: int


def count(conn: Connection) -> Badges:
    values = {"count_max": COUNT_MAX, "failures_min": FAILURES_MIN}
    found = conn.cursor(row_factory=class_row(Badges)).execute(SQL.count, values).fetchone()
    assert found is not None
    return found
