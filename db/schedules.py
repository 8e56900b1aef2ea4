"""Statements about schedules and their ticks; see schedules.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("schedules")

# In a transaction of a few statements; after that Postgres ends the session.
IDLE_MS_MAX = 5_000
# For a row that somebody else holds; another look comes soon.
LOCK_MS_MAX = 1_000
# A tick of this age is merely a little late; see schedules/times.py.
LATE_S_MIN = 10.0


@dataclass(frozen=True, slots=True)
class State:
    """What the database knows of a schedule, in UTC.

    `settled_at` is the last nominal time that was fired or skipped, `last_at` the last run, also
    by hand, and `next_at` the oldest time that is open still.
    """

    name: str
    begins_at: datetime
    paused_at: datetime | None
    cron_override: str | None
    next_at: datetime | None
    settled_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Late:
    """A schedule whose next tick should have come that long ago."""

    name: str
    late_s: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick on a timeline; `state` is its job's, None without one or once that was pruned."""

    schedule: str
    fire_at: datetime
    by_hand: bool
    skipped: bool
    made_up: bool
    job_id: int | None
    state: str | None


@dataclass(frozen=True, slots=True)
class LastRun:
    name: str
    fire_at: datetime
    job_id: int
    state: str | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Tick:
    """A row of a schedule's history."""

    fire_at: datetime
    by_hand: bool
    skipped: bool
    made_up: bool
    noted_at: datetime | None
    job_id: int | None
    state: str | None
    attempt: int | None
    ran_s: float | None


def upsert_schedule(
    conn: Connection,
    name: str,
    *,
    kind: str,
    args: dict[str, Any],
    unique_key: str | None,
    cron: str,
    missed: str,
    catch_up_s: int,
    now: datetime,
    next_at: datetime | None,
) -> None:
    conn.execute(
        SQL.upsert_schedule,
        {
            "name": name,
            "kind": kind,
            "args": Jsonb(args),
            "unique_key": unique_key,
            "cron": cron,
            "missed": missed,
            "catch_up_s": catch_up_s,
            "now": now,
            "next_at": next_at,
        },
    )


def retire_others(conn: Connection, names: Sequence[str]) -> None:
    """Mark every schedule that is not among `names`."""
    conn.execute(SQL.retire_others, {"names": list(names)})


def list_states(conn: Connection, *, now: datetime) -> dict[str, State]:
    """Python compares two times of one zone by the wall clock, which jumps: so all are in UTC."""
    rows = conn.execute(SQL.list_states, {"now": now}).fetchall()
    return {row[0]: State(*(in_utc(value) for value in row)) for row in rows}


def in_utc(value: Any) -> Any:
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def list_late(conn: Connection, *, late_s: float = LATE_S_MIN) -> list[Late]:
    """What is later than that, the latest first; right also while no scheduler lives."""
    cursor = conn.cursor(row_factory=class_row(Late))
    return cursor.execute(SQL.list_late, {"late_s": late_s}).fetchall()


def count_missed(conn: Connection) -> dict[str, tuple[int, int]]:
    """How many ticks of the last day were missed, and how many of them made up."""
    rows = conn.execute(SQL.count_missed).fetchall()
    return {name: (missed, made_up) for name, missed, made_up in rows}


def begin_now(conn: Connection, *, now: datetime) -> None:
    conn.execute(SQL.begin_now, {"now": now})


def read_clock(conn: Connection) -> datetime:
    """When this transaction began, by the database's clock."""
    row = conn.execute(SQL.read_clock).fetchone()
    assert row is not None
    now: datetime = row[0].astimezone(UTC)
    return now


def limit_waits(conn: Connection) -> None:
    """In this transaction."""
    conn.execute(SQL.limit_waits, {"idle_ms": IDLE_MS_MAX, "lock_ms": LOCK_MS_MAX})


def claim_tick(
    conn: Connection, name: str, *, fire_at: datetime, now: datetime, made_up: bool = False
) -> bool:
    """Make the tick ours; False when it was fired already, or the schedule is paused."""
    found = conn.execute(
        SQL.claim_tick, {"name": name, "fire_at": fire_at, "now": now, "made_up": made_up}
    ).fetchone()
    return found is not None


def skip_ticks(conn: Connection, name: str, *, fire_at: Sequence[datetime], now: datetime) -> None:
    """Note that these were missed; what was fired stays as it is."""
    conn.execute(SQL.skip_ticks, {"name": name, "fire_at": list(fire_at), "now": now})


def claim_tick_by_hand(conn: Connection, name: str) -> datetime:
    """A tick of its own at this very moment."""
    row = conn.execute(SQL.claim_tick_by_hand, {"name": name}).fetchone()
    assert row is not None
    fire_at: datetime = row[0]
    return fire_at


def name_job(conn: Connection, name: str, *, fire_at: datetime, job_id: int) -> None:
    conn.execute(SQL.name_job, {"name": name, "fire_at": fire_at, "job_id": job_id})


def plan(conn: Connection, name: str, *, next_at: datetime | None) -> None:
    conn.execute(SQL.plan, {"name": name, "next_at": next_at})


def pause(conn: Connection, name: str, *, now: datetime) -> bool:
    """False where it was paused before."""
    return conn.execute(SQL.pause, {"name": name, "now": now}).rowcount > 0


def resume(conn: Connection, name: str, *, now: datetime, next_at: datetime | None) -> bool:
    """False where it was not paused."""
    values = {"name": name, "now": now, "next_at": next_at}
    return conn.execute(SQL.resume, values).rowcount > 0


def change_cron(
    conn: Connection, name: str, cron: str | None, *, now: datetime, next_at: datetime | None
) -> bool:
    """None: the timetable's own again. False where it had these times before."""
    values = {"name": name, "cron": cron, "now": now, "next_at": next_at}
    return conn.execute(SQL.change_cron, values).rowcount > 0


def list_marks(
    conn: Connection, *, since: datetime, until: datetime, name: str | None, rows_max: int
) -> list[Mark]:
    """Those of one schedule, or of all, newest first."""
    values = {"since": since, "until": until, "name": name, "rows_max": rows_max}
    cursor = conn.cursor(row_factory=class_row(Mark))
    return cursor.execute(SQL.list_marks, values).fetchall()


def list_last_runs(conn: Connection) -> dict[str, LastRun]:
    rows = conn.cursor(row_factory=class_row(LastRun)).execute(SQL.list_last_runs).fetchall()
    return {row.name: row for row in rows}


def list_ticks(conn: Connection, name: str, *, before: datetime, rows_max: int) -> list[Tick]:
    """The newest of those before that time, newest first."""
    values = {"name": name, "before": before, "rows_max": rows_max}
    return conn.cursor(row_factory=class_row(Tick)).execute(SQL.list_ticks, values).fetchall()
