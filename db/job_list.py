"""Statements that list jobs by a filter; see job_list.sql and job_conditions.sql. No function
commits.

A statement is put together here from fixed parts that lie in those files, never from what
somebody typed: values are parameters always.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load
from db.times import EARLIEST, LATEST

SQL = load("job_list")
CONDITIONS = load("job_conditions")

SOURCE = re.compile(rb"/\* source \*/.*?/\* end \*/", re.DOTALL)
ORDER = re.compile(rb"/\* order \*/.*?/\* end \*/", re.DOTALL)
MARK = b"/* conditions */"
ID_MAX = 2**63 - 1
# As Postgres writes what Python has no time for.
ENDS = {EARLIEST: "-infinity", LATEST: "infinity"}


@dataclass(frozen=True, slots=True)
class Condition:
    """One of job_conditions.sql with its values; `negated` also holds where it is null."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A row's place in the order; the next page begins after it. `at` is its finish."""

    id: int = ID_MAX
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """Which rows are looked at, newest first: `name` is a look_at_... statement."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> str:
        return "by_finish" if self.name == "look_at_finished" else "by_id"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the list. `error` is cut; `ids` are those arguments that end in _id."""

    id: int
    kind: str
    queue: str
    tenant: UUID | None
    priority: int
    state: str
    attempt: int
    max_attempts: int
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error_group: str | None
    error: str | None
    ids: dict[str, str | None] | None
    age_s: float | None
    ran_s: float | None


def compose(
    statement: bytes, source: Source, conditions: Sequence[Condition], values: Mapping[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """The statement over that source with these conditions, and all its values."""
    parts = [MARK]
    bound = {"since": None, "until": None, "state": None, **source.values, **values}
    for number, condition in enumerate(conditions):
        prefix = f"c{number}_"
        text: bytes = getattr(CONDITIONS, condition.name)
        own = text.replace(b"%(", b"%%(%s" % prefix.encode())
        parts.append(b"AND (\n%s\n) %s" % (own, b"IS NOT TRUE" if condition.negated else b"\n"))
        bound.update({prefix + name: value for name, value in condition.values.items()})
    looked = b"(\n" + getattr(SQL, source.name) + b"\n) AS j"
    query = SOURCE.sub(lambda _: looked, statement)
    query = ORDER.sub(lambda _: getattr(SQL, source.order), query)
    return query.replace(MARK, b"\n".join(parts)), bound


def place_values(after: Place) -> dict[str, Any]:
    """After no place: all rows."""
    at = LATEST if after.at is None else after.at
    return {"before_id": after.id, "before_at": ENDS.get(at, at)}


def plan_for_pages(conn: Connection) -> None:
    """For this transaction: plans that end early, from a single core."""
    conn.execute(SQL.plan_for_pages)


def list_rows(
    conn: Connection,
    source: Source,
    conditions: Sequence[Condition],
    *,
    after: Place,
    looked_max: int,
    rows_max: int,
) -> list[Row]:
    """Those that match of the `looked_max` rows after that place, in the source's order."""
    values = {**place_values(after), "looked_max": looked_max, "rows_max": rows_max}
    query, bound = compose(SQL.list_rows, source, conditions, values)
    return conn.cursor(row_factory=class_row(Row)).execute(query, bound).fetchall()


def list_ids(
    conn: Connection,
    source: Source,
    conditions: Sequence[Condition],
    *,
    after: Place,
    looked_max: int,
    rows_max: int,
) -> tuple[list[Place], Place | None]:
    """Those that match, and where the next `looked_max` rows begin; None where there are no more.

    Where `rows_max` match, more than these may have to be looked at.
    """
    values = {**place_values(after), "looked_max": looked_max, "rows_max": rows_max + 1}
    query, bound = compose(SQL.list_ids, source, conditions, values)
    rows = conn.execute(query, bound).fetchall()
    found = [Place(id, at) for id, at, matches, _ in rows if matches]
    edges = [Place(id, at) for id, at, _, is_edge in rows if is_edge]
    return found[:rows_max], edges[0] if edges else None


def find_edge(conn: Connection, source: Source, *, after: Place, looked_max: int) -> Place | None:
    """Where the next `looked_max` rows begin; None where there are no more."""
    values = {**place_values(after), "looked_max": looked_max}
    row = conn.execute(*compose(SQL.find_edge, source, (), values)).fetchone()
    return None if row is None else Place(*row)


def count_rows(
    conn: Connection, sources: Sequence[Source], conditions: Sequence[Condition], *, looked_max: int
) -> list[dict[str, tuple[int, int]]]:
    """By state: how many of each source's first rows were looked at, and how many match."""
    texts, bound = [], {}
    for number, source in enumerate(sources):
        values = {**place_values(Place()), "looked_max": looked_max, "number": number}
        text, own = compose(SQL.count_rows, source, conditions, values)
        texts.append(text.replace(b"%(", b"%%(s%d_" % number))
        bound.update({f"s{number}_{name}": value for name, value in own.items()})
    found: list[dict[str, tuple[int, int]]] = [{} for _ in sources]
    for number, state, looked, matched in conn.execute(b"\nUNION ALL\n".join(texts), bound):
        found[number][state] = looked, matched
    return found


def count_minutes(
    conn: Connection, source: Source, conditions: Sequence[Condition], *, looked_max: int
) -> dict[datetime, tuple[int, int]]:
    """By minute of their finish: how many of the source's first rows were looked at, and match."""
    values = {**place_values(Place()), "looked_max": looked_max}
    rows = conn.execute(*compose(SQL.count_minutes, source, conditions, values)).fetchall()
    return {minute: (looked, matched) for minute, looked, matched in rows}


def count_unfinished(conn: Connection, *, rows_max: int) -> int:
    """How many jobs are unfinished; not exact beyond `rows_max`, but more than it."""
    row = conn.execute(SQL.count_unfinished, {"rows_max": rows_max + 1}).fetchone()
    assert row is not None
    return int(row[0])


def read_now(conn: Connection) -> datetime:
    row = conn.execute(SQL.read_now).fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def list_words(conn: Connection) -> list[tuple[str, str, dict[str, str]]]:
    """(kind, queue, arguments with their types) of all kinds."""
    return conn.execute(SQL.list_words).fetchall()


def list_seen_words(conn: Connection, *, words_max: int) -> list[tuple[str, str]]:
    """("kind" or "queue", a name that jobs have)."""
    plan_for_pages(conn)
    return conn.execute(SQL.list_seen_words, {"words_max": words_max}).fetchall()


def list_recent_tenants(
    conn: Connection, *, pattern: str, rows_max: int
) -> list[tuple[UUID, str | None, int]]:
    """(tenant, name, jobs among the newest) of those whose id or name is LIKE the pattern."""
    plan_for_pages(conn)
    values = {"pattern": pattern, "rows_max": rows_max}
    return conn.execute(SQL.list_recent_tenants, values).fetchall()


def list_recent_groups(conn: Connection, *, rows_max: int) -> list[tuple[str, int, str | None]]:
    """(fingerprint, jobs, an error of it) among those discarded last."""
    plan_for_pages(conn)
    return conn.execute(SQL.list_recent_groups, {"rows_max": rows_max}).fetchall()


def name_tenants(conn: Connection, ids: Sequence[UUID]) -> dict[UUID, str]:
    """What tenants go by; those without a profile are left out."""
    return dict(conn.execute(SQL.name_tenants, {"ids": list(ids)}).fetchall())
