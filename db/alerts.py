"""Statements about what operators are told; see alerts.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("alerts")

ROWS_MAX = 200
KEPT_DAYS = 90
# A watchdog that died in the middle of a message.
CLAIM_S = 120.0
# An alarm of yesterday wakes nobody.
AGE_S_MAX = 86_400.0


@dataclass(frozen=True, slots=True)
class Sign:
    """What was found in one look, and how long it must stand before it is an alert."""

    key: str
    level: str
    title: str
    evidence: str
    advice: str
    runbook: str
    grace_s: float


@dataclass(frozen=True, slots=True)
class Calm:
    """How long an alert must be absent to be over; after recoveries within `flap_s` longer."""

    calm_s: float
    calm_s_max: float
    flap_s: float


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that is ours to send: `attempts` counts this one."""

    alert_id: int
    event: str
    way: str
    attempts: int
    key: str
    level: str
    title: str
    evidence: str
    advice: str
    runbook: str
    began_at: datetime
    opened_at: datetime
    recovered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Alert:
    """A row of worker.alerts. `untold` says why some way has not been told yet."""

    id: int
    key: str
    level: str
    title: str
    evidence: str
    advice: str
    runbook: str
    began_at: datetime
    opened_at: datetime
    notified_at: datetime | None
    recovered_at: datetime | None
    untold: str | None


@dataclass(frozen=True, slots=True)
class Watch:
    """The last look of any watchdog, and whose it was."""

    looked_at: datetime | None
    looked_by: str | None


def take_turn(conn: Connection, *, at: datetime, by: str, every_s: float) -> bool:
    """Make this round ours until the commit; False when another has it, or just had."""
    arguments = {"at": at, "by": by, "every_s": every_s}
    return conn.execute(SQL.take_turn, arguments).fetchone() is not None


def read_watch(conn: Connection) -> Watch:
    row = conn.cursor(row_factory=class_row(Watch)).execute(SQL.read_watch).fetchone()
    return row or Watch(None, None)


def read_clock(conn: Connection) -> datetime:
    row = conn.execute(SQL.read_clock).fetchone()
    assert row is not None
    at: datetime = row[0]
    return at


def note_signs(conn: Connection, keys: Sequence[str], *, at: datetime, gap_s: float) -> None:
    """Remember since when each is there, and forget all others."""
    conn.execute(SQL.note_signs, {"keys": list(keys), "at": at, "gap_s": gap_s})
    conn.execute(SQL.forget_signs, {"at": at})


def open_alerts(conn: Connection, signs: Sequence[Sign], *, at: datetime) -> list[int]:
    """Alerts of the signs that stood long enough; the ids of new ones."""
    arguments = {
        "keys": [sign.key for sign in signs],
        "levels": [sign.level for sign in signs],
        "titles": [sign.title for sign in signs],
        "evidences": [sign.evidence for sign in signs],
        "advices": [sign.advice for sign in signs],
        "runbooks": [sign.runbook for sign in signs],
        "graces_s": [float(sign.grace_s) for sign in signs],
        "at": at,
    }
    return [row[0] for row in conn.execute(SQL.open_alerts, arguments).fetchall()]


def renew_alerts(conn: Connection, keys: Sequence[str], *, at: datetime) -> None:
    """What is still there, and that the rest is not."""
    conn.execute(SQL.renew_alerts, {"keys": list(keys), "at": at})
    conn.execute(SQL.calm_alerts, {"at": at})


def recover_alerts(conn: Connection, *, at: datetime, calm: Calm) -> list[int]:
    """End those that were absent for long enough; their ids."""
    arguments = {
        "at": at,
        "calm_s": calm.calm_s,
        "calm_s_max": calm.calm_s_max,
        "flap_s": calm.flap_s,
    }
    return [row[0] for row in conn.execute(SQL.recover_alerts, arguments).fetchall()]


def add_notices(
    conn: Connection, ids: Sequence[int], *, event: str, ways: Sequence[str], at: datetime
) -> None:
    conn.execute(SQL.add_notices, {"ids": list(ids), "event": event, "ways": list(ways), "at": at})


def claim_notice(conn: Connection, *, way: str, at: datetime) -> Notice | None:
    """Make the next message ours for CLAIM_S; None when nothing is due."""
    cursor = conn.cursor(row_factory=class_row(Notice))
    return cursor.execute(SQL.claim_notice, {"way": way, "at": at, "claim_s": CLAIM_S}).fetchone()


def note_sent(conn: Connection, notice: Notice, *, at: datetime) -> None:
    conn.execute(SQL.note_sent, {**named(notice), "at": at})


def note_failed(
    conn: Connection, notice: Notice, *, error: str, wait_s: float, at: datetime
) -> None:
    """Try it again after `wait_s`, unless its alert is older than AGE_S_MAX."""
    arguments = {"error": error, "wait_s": wait_s, "age_s_max": AGE_S_MAX, "at": at}
    conn.execute(SQL.note_failed, {**named(notice), **arguments})


def list_alerts(conn: Connection, *, open_only: bool = False) -> list[Alert]:
    """Open ones first, then the past, newest first; up to ROWS_MAX."""
    arguments = {"open_only": open_only, "rows_max": ROWS_MAX}
    return conn.cursor(row_factory=class_row(Alert)).execute(SQL.list_alerts, arguments).fetchall()


def count_open(conn: Connection) -> dict[str, int]:
    """Open alerts by level."""
    return dict(conn.execute(SQL.count_open).fetchall())


def delete_old(conn: Connection, *, at: datetime) -> None:
    conn.execute(SQL.delete_old, {"at": at, "days": KEPT_DAYS})


def named(notice: Notice) -> dict[str, object]:
    return {"alert_id": notice.alert_id, "event": notice.event, "way": notice.way}
