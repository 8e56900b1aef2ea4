"""Statements about groups of errors; see errors.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("errors")


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs of a window whose last attempt failed in the same way; no fingerprint: not grouped.

    `most_hit` are [tenant, jobs]; `counts` are jobs in equal parts of the window.
    """

    fingerprint: str | None
    jobs: int
    retrying: int
    last_at: datetime
    kinds: list[str]
    error: str | None
    type: str | None
    first_at: datetime | None
    most_hit: list[tuple[str, int]]
    tenants: int
    counts: list[int]


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest job of a group. Error and trace are what a job raised: any text at all."""

    id: int
    kind: str
    queue: str
    state: str
    attempt: int
    max_attempts: int
    at: datetime
    error: str | None
    trace: str | None
    masked: str


@dataclass(frozen=True, slots=True)
class Tally:
    """Of the newest jobs of a group; at most as many as were looked at."""

    jobs: int
    states: dict[str, int]
    kinds: list[tuple[str, int]]
    most_hit: list[tuple[str, int]]
    tenants: int
    last_at: datetime | None
    first_at: datetime | None
    counts: list[int]


def list_groups(
    conn: Connection,
    *,
    since: datetime,
    until: datetime,
    parts: int,
    groups_max: int,
    looked_max: int,
) -> list[Group]:
    """Most jobs first; `looked_max` bounds the discarded jobs that are looked at."""
    values = {
        "since": since,
        "until": until,
        "parts": parts,
        "groups_max": groups_max,
        "looked_max": looked_max,
    }
    return conn.cursor(row_factory=class_row(Group)).execute(SQL.list_groups, values).fetchall()


def group_errors(conn: Connection, *, since: datetime, looked_max: int, rows_max: int) -> int:
    """Give their group to jobs that failed since and have none; how many got one."""
    values = {"since": since, "looked_max": looked_max, "rows_max": rows_max}
    return conn.execute(SQL.group_errors, values).rowcount


def read_sample(conn: Connection, fingerprint: str) -> Sample | None:
    cursor = conn.cursor(row_factory=class_row(Sample))
    return cursor.execute(SQL.read_sample, {"fingerprint": fingerprint}).fetchone()


def count_group(
    conn: Connection,
    fingerprint: str,
    *,
    since: datetime,
    until: datetime,
    parts: int,
    looked_max: int,
) -> Tally:
    values = {
        "fingerprint": fingerprint,
        "since": since,
        "until": until,
        "parts": parts,
        "looked_max": looked_max,
    }
    row = conn.cursor(row_factory=class_row(Tally)).execute(SQL.count_group, values).fetchone()
    assert row is not None
    return row
