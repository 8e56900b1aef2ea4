"""Statements about mails as operators watch them; see watched_emails.sql. No function commits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("watched_emails")

STATES = (
    *("uncertain", "failed", "queued", "sending", "bounced", "complained"),
    *("sent", "delivered", "opened", "clicked"),
)
WEEK_MAX = 300_000
COUNT_MAX = 10_000
SCAN_MAX = 20_000
REASONS_SCAN_MAX = 2_000
OPENS_SCAN_MAX = 10_000
SUPPRESSIONS_MAX = 100_000
EVENTS_MAX = 100
LANES_MAX = 20
JOBS_SCAN_MAX = 1_000


@dataclass(frozen=True, slots=True)
class States:
    """How many mails of the last week, and of the last day, are in a state."""

    week: int
    day: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which mails; what is None does not matter. `pattern` is of ILIKE, of the error."""

    status: str | None = None
    type: str | None = None
    tenant: UUID | None = None
    since: datetime | None = None
    address: str | None = None
    text: str | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    id: UUID
    created_at: datetime
    type: str
    status: str
    to_email: str
    tenant: UUID | None
    owner: str | None
    error: str | None
    provider: str | None
    sent_at: datetime | None
    handed_at: datetime | None
    failures: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one mail did not go out."""

    error: str | None
    type: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Queue:
    """`waiting` stops at COUNT_MAX + 1; `next_at` is when one that was put off is tried."""

    waiting: int
    oldest_at: datetime | None
    next_at: datetime | None
    is_paused: bool


@dataclass(frozen=True, slots=True)
class Lane:
    """A provider's rate: below 0 tokens it is waited for."""

    lane: str
    tokens: float
    filled_at: datetime


@dataclass(frozen=True, slots=True)
class Opens:
    """Of the newest OPENS_SCAN_MAX mails of the last week."""

    opened: int
    clicked: int
    sent: int


@dataclass(frozen=True, slots=True)
class Email:
    """One mail without what is in it. `handed_at`: from then on a provider may have it."""

    id: UUID
    tenant: UUID | None
    owner: str | None
    to_email: str
    sender: str | None
    subject_chars: int | None
    type: str
    template_id: str | None
    status: str
    error: str | None
    provider: str | None
    provider_message_id: str | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    updated_at: datetime
    number: int | None
    message_id: str | None
    failures: int
    queued_at: datetime | None
    handed_at: datetime | None
    is_repeatable: bool
    job_id: int | None


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    type: str
    at: datetime
    provider: str
    by_bot: bool
    applied: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class Suppression:
    """`address` is None where only its hash is known."""

    id: int
    address: str | None
    address_hash: str
    category: str | None
    user_id: UUID | None
    reason: str
    note: str | None
    email_id: UUID | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Lifted:
    """A suppression that is gone; `others` of the same address are not."""

    address_hash: str
    category: str | None
    reason: str
    others: int


def count_states(conn: Connection) -> dict[str, States]:
    """By state, all of them; of the newest WEEK_MAX mails of the last 7 days."""
    rows = conn.execute(SQL.count_states, {"rows_max": WEEK_MAX}).fetchall()
    found = {status: States(week, day) for status, week, day in rows}
    return {status: found.get(status, States(0, 0)) for status in STATES}


def count_unsettled(conn: Connection) -> int:
    """However old; COUNT_MAX + 1 means more."""
    row = conn.execute(SQL.count_unsettled, {"rows_max": COUNT_MAX}).fetchone()
    assert row is not None
    return int(row[0])


def find_matching(
    conn: Connection, wanted: Filter, *, before: tuple[datetime, UUID] | None, rows_max: int
) -> list[Listed]:
    """The newest first, older than `before`."""
    values = {
        **asdict(wanted),
        "before_at": before and before[0],
        "before_id": before and before[1],
        "scan_max": SCAN_MAX,
        "rows_max": rows_max,
    }
    return conn.cursor(row_factory=class_row(Listed)).execute(SQL.find_matching, values).fetchall()


def list_matching_ids(conn: Connection, wanted: Filter, *, rows_max: int) -> list[UUID]:
    """The newest first; only of states of trouble."""
    values = {**asdict(wanted), "scan_max": SCAN_MAX, "rows_max": rows_max}
    return [row[0] for row in conn.execute(SQL.list_matching_ids, values)]


def lock_in_state(conn: Connection, ids: Sequence[UUID], *, status: str) -> list[UUID]:
    values = {"ids": list(ids), "status": status}
    return [row[0] for row in conn.execute(SQL.lock_in_state, values)]


def list_reasons(conn: Connection, statuses: Sequence[str]) -> list[Reason]:
    """Of the newest REASONS_SCAN_MAX in these states, the newest first."""
    cursor = conn.cursor(row_factory=class_row(Reason))
    values = {"statuses": list(statuses), "rows_max": REASONS_SCAN_MAX}
    return cursor.execute(SQL.list_reasons, values).fetchall()


def read_queue(conn: Connection) -> Queue:
    cursor = conn.cursor(row_factory=class_row(Queue))
    values = {"count_max": COUNT_MAX, "scan_max": JOBS_SCAN_MAX}
    found = cursor.execute(SQL.read_queue, values).fetchone()
    assert found is not None
    return found


def list_lanes(conn: Connection) -> list[Lane]:
    cursor = conn.cursor(row_factory=class_row(Lane))
    return cursor.execute(SQL.list_lanes, {"rows_max": LANES_MAX}).fetchall()


def count_opens(conn: Connection) -> Opens:
    cursor = conn.cursor(row_factory=class_row(Opens))
    found = cursor.execute(SQL.count_opens, {"rows_max": OPENS_SCAN_MAX}).fetchone()
    assert found is not None
    return found


def get(conn: Connection, email_id: UUID) -> Email | None:
    cursor = conn.cursor(row_factory=class_row(Email))
    return cursor.execute(SQL.get, {"email_id": email_id}).fetchone()


def read_subject(conn: Connection, email_id: UUID) -> str:
    row = conn.execute(SQL.read_subject, {"email_id": email_id}).fetchone()
    return "" if row is None or row[0] is None else str(row[0])


def list_events(conn: Connection, email_id: UUID) -> list[Event]:
    """The first EVENTS_MAX, oldest first."""
    cursor = conn.cursor(row_factory=class_row(Event))
    values = {"email_id": email_id, "rows_max": EVENTS_MAX}
    return cursor.execute(SQL.list_events, values).fetchall()


def count_suppressions(conn: Connection) -> dict[str, int]:
    """By reason, of the newest SUPPRESSIONS_MAX."""
    rows = conn.execute(SQL.count_suppressions, {"rows_max": SUPPRESSIONS_MAX})
    return dict(rows.fetchall())


def list_suppressions(
    conn: Connection, *, address: str | None, before: int | None, rows_max: int
) -> list[Suppression]:
    """The newest first; the address as it is spelt there."""
    cursor = conn.cursor(row_factory=class_row(Suppression))
    values = {"address": address, "before": before, "rows_max": rows_max}
    return cursor.execute(SQL.list_suppressions, values).fetchall()


def lift_suppression(conn: Connection, suppression_id: int) -> Lifted | None:
    """None where it is gone."""
    cursor = conn.cursor(row_factory=class_row(Lifted))
    return cursor.execute(SQL.lift_suppression, {"suppression_id": suppression_id}).fetchone()
