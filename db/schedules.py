"""Statements about schedules and their ticks; see schedules.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("schedules")

# In a transaction of a few statements; after that Postgres ends the session.
IDLE_MS_MAX = 5_000


@dataclass(frozen=True, slots=True)
class State:
    """What the database knows of a schedule.

    `fired_at` is the last nominal time that was fired, `last_at` also counts runs by hand.
    """

    name: str
    begins_at: datetime
    paused_at: datetime | None
    fired_at: datetime | None
    last_at: datetime | None


def upsert_schedule(
    conn: Connection,
    name: str,
    *,
    kind: str,
    args: dict[str, Any],
    unique_key: str | None,
    cron: str,
) -> None:
    conn.execute(
        SQL.upsert_schedule,
        {"name": name, "kind": kind, "args": Jsonb(args), "unique_key": unique_key, "cron": cron},
    )


def retire_others(conn: Connection, names: Sequence[str]) -> None:
    """Mark every schedule that is not among `names`."""
    conn.execute(SQL.retire_others, {"names": list(names)})


def list_states(conn: Connection) -> dict[str, State]:
    cursor = conn.cursor(row_factory=class_row(State)).execute(SQL.list_states)
    return {state.name: state for state in cursor.fetchall()}


def begin_now(conn: Connection) -> None:
    conn.execute(SQL.begin_now)


def read_clock(conn: Connection) -> datetime:
    """When this transaction began, by the database's clock."""
    row = conn.execute(SQL.read_clock).fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def limit_idling(conn: Connection) -> None:
    conn.execute(SQL.limit_idling, {"idle_ms": IDLE_MS_MAX})


def claim_tick(conn: Connection, name: str, *, fire_at: datetime) -> bool:
    """Make the tick ours; False when it was fired already, or the schedule is paused."""
    found = conn.execute(SQL.claim_tick, {"name": name, "fire_at": fire_at}).fetchone()
    return found is not None


def claim_tick_by_hand(conn: Connection, name: str) -> datetime:
    """A tick of its own at this very moment."""
    row = conn.execute(SQL.claim_tick_by_hand, {"name": name}).fetchone()
    assert row is not None
    fire_at: datetime = row[0]
    return fire_at


def name_job(conn: Connection, name: str, *, fire_at: datetime, job_id: int) -> None:
    conn.execute(SQL.name_job, {"name": name, "fire_at": fire_at, "job_id": job_id})


def pause(conn: Connection, name: str) -> None:
    conn.execute(SQL.pause, {"name": name})


def resume(conn: Connection, name: str) -> None:
    conn.execute(SQL.resume, {"name": name})
