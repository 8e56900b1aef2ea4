"""Statements about webhooks as operators watch them; see watched_webhooks.sql. None commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from db.pool import Connection
from db.statements import load

SQL = load("watched_webhooks")

# The worst first: cut off, on trial, given up, in trouble, well, switched off by its owner.
STATES = ("open", "half_open", "disabled", "failing", "slow", "closed", "off")
WELL = ("closed", "off")
COUNT_MAX = 50_000
WAITING_MAX = 1_000
STRIP_MAX = 60
# So many of a webhook's last day say how it does.
SAMPLE_MAX = 200
HOURS_SAMPLE_MAX = 20_000
SCAN_MAX = 5_000
ATTEMPTS_MAX = 100
DATA_BYTES_MAX = 200_000
ANSWER_CHARS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Filter:
    """Which webhooks; what is None does not matter. `pattern` is of ILIKE."""

    states: list[str] | None = None
    tenant: UUID | None = None
    text: str | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Of a webhook in the list: what follows comes after it."""

    rank: int
    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Listed:
    """`statuses` and `durations_ms` are of its last deliveries, the oldest first; `ended`,
    `delivered` and `p95_ms` of the last 24 hours, at most SAMPLE_MAX; `waiting` stops at
    WAITING_MAX + 1. `due_at`: when the first of those that wait is.
    """

    id: UUID
    name: str
    url: str
    tenant: UUID
    owner: str | None
    state: str
    rank: int
    created_at: datetime
    failing_since: datetime | None
    failures: int
    open_until: datetime | None
    disabled_reason: str | None
    events: list[str]
    statuses: list[str]
    durations_ms: list[int]
    http_status: int | None
    error: str | None
    last_at: datetime | None
    ended: int
    delivered: int
    p95_ms: int | None
    waiting: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Webhook:
    """One of them, with the names of its headers, never their values."""

    id: UUID
    name: str
    url: str
    tenant: UUID
    owner: str | None
    agent_id: UUID | None
    is_active: bool
    retry_failed: bool
    max_retries: int
    events: list[str]
    events_count: int
    header_names: list[str]
    total_deliveries: int
    successful_deliveries: int
    failed_deliveries: int
    created_at: datetime
    updated_at: datetime
    state: str
    failing_since: datetime | None
    failures: int
    next_attempt_at: datetime | None
    reason: str | None
    open_until: datetime | None
    disabled_reason: str | None
    succeeded_at: datetime | None
    opened_times: int
    ramp: int
    lane_cap: int | None
    lane_until_at: datetime | None
    waiting: int
    old_secrets: int


@dataclass(frozen=True, slots=True)
class Hour:
    hour_at: datetime
    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class ListedDelivery:
    id: UUID
    event_type: str
    status: str
    http_status: int | None
    error: str | None
    attempts: int
    next_retry_at: datetime | None
    delivered_at: datetime | None
    duration_ms: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """`event_data` and `answer` are contents; the first is None beyond DATA_BYTES_MAX."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    event_type: str
    status: str
    http_status: int | None
    error: str | None
    attempts: int
    next_retry_at: datetime | None
    delivered_at: datetime | None
    duration_ms: int | None
    created_at: datetime
    updated_at: datetime
    event_data: Any
    data_bytes: int
    answer: str | None
    answer_bytes: int | None
    webhook: str
    url: str
    is_active: bool
    max_retries: int
    tenant: UUID
    owner: str | None
    job_id: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that ended; `answer` is contents."""

    attempt: int
    at: datetime
    http_status: int | None
    error: str | None
    duration_ms: int | None
    answer: str | None
    answer_bytes: int | None


def count(conn: Connection) -> dict[str, int]:
    """By state, of at most COUNT_MAX."""
    found = {row[0]: row[1] for row in conn.execute(SQL.count, {"count_max": COUNT_MAX})}
    return {state: found.get(state, 0) for state in STATES}


def find_matching(
    conn: Connection, wanted: Filter, *, after: Place | None, rows_max: int
) -> list[Listed]:
    """The worst first, after `after`."""
    values = {
        "states": wanted.states,
        "tenant": wanted.tenant,
        "text": wanted.text,
        "pattern": wanted.pattern,
        "order": list(STATES),
        "after_rank": after and after.rank,
        "after_at": after and after.created_at,
        "after_id": after and after.id,
        "rows_max": rows_max,
        "waiting_max": WAITING_MAX,
        "strip_max": STRIP_MAX,
        "sample_max": SAMPLE_MAX,
    }
    return conn.cursor(row_factory=class_row(Listed)).execute(SQL.find_matching, values).fetchall()


def get(conn: Connection, webhook_id: UUID) -> Webhook | None:
    cursor = conn.cursor(row_factory=class_row(Webhook))
    values = {"webhook_id": webhook_id, "waiting_max": WAITING_MAX}
    return cursor.execute(SQL.get, values).fetchone()


def sum_hours(conn: Connection, webhook_id: UUID, *, hours: int) -> list[Hour]:
    """The oldest first, this hour last; of at most HOURS_SAMPLE_MAX deliveries."""
    cursor = conn.cursor(row_factory=class_row(Hour))
    values = {"webhook_id": webhook_id, "hours": hours, "sample_max": HOURS_SAMPLE_MAX}
    return cursor.execute(SQL.sum_hours, values).fetchall()


def list_deliveries(
    conn: Connection,
    webhook_id: UUID,
    *,
    statuses: list[str] | None,
    id: UUID | None = None,
    before: tuple[datetime, UUID] | None,
    rows_max: int,
) -> list[ListedDelivery]:
    values = {
        "webhook_id": webhook_id,
        "statuses": statuses,
        "id": id,
        "before_at": before and before[0],
        "before_id": before and before[1],
        "scan_max": SCAN_MAX,
        "rows_max": rows_max,
    }
    cursor = conn.cursor(row_factory=class_row(ListedDelivery))
    return cursor.execute(SQL.list_deliveries, values).fetchall()


def list_lost(conn: Connection, webhook_id: UUID, *, since: datetime, rows_max: int) -> list[UUID]:
    values = {"webhook_id": webhook_id, "since": since, "rows_max": rows_max}
    return [row[0] for row in conn.execute(SQL.list_lost, values)]


def send_lost(
    conn: Connection, webhook_id: UUID, ids: Sequence[UUID], *, gap_s: float
) -> list[UUID]:
    """Those that are on their way. Raises ObjectNotInPrerequisiteState where it is not active."""
    values = {"webhook_id": webhook_id, "ids": list(ids)}
    conn.execute(SQL.take_turn, values)
    lost = [row[0] for row in conn.execute(SQL.filter_lost, values)]
    conn.execute(SQL.send_again, {"ids": lost, "gap_s": gap_s})
    return lost


def get_delivery(conn: Connection, delivery_id: UUID) -> Delivery | None:
    cursor = conn.cursor(row_factory=class_row(Delivery))
    values = {
        "delivery_id": delivery_id,
        "data_bytes_max": DATA_BYTES_MAX,
        "answer_chars_max": ANSWER_CHARS_MAX,
    }
    return cursor.execute(SQL.get_delivery, values).fetchone()


def list_attempts(conn: Connection, delivery_id: UUID) -> list[Attempt]:
    """The last ATTEMPTS_MAX that are remembered, oldest first."""
    cursor = conn.cursor(row_factory=class_row(Attempt))
    values = {
        "delivery_id": delivery_id,
        "rows_max": ATTEMPTS_MAX,
        "answer_chars_max": ANSWER_CHARS_MAX,
    }
    return cursor.execute(SQL.list_attempts, values).fetchall()
