"""Deliveries in batches, for the workers that send them; see deliveries.sql. No commits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row

from db import jobs
from db.pool import Connection
from db.statements import load

SQL = load("deliveries")

# Twice a body's limit: no longer text fits into one, however many of its blanks are left out.
DATA_BYTES_MAX = 40_000
EXCERPT_CHARS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A delivery that an attempt of a job wants to send."""

    job_id: int
    job_attempt: int
    delivery_id: UUID


@dataclass(frozen=True, slots=True)
class Letter:
    """A delivery and its webhook as they are now.

    `secrets` begins with the current one. `body` is None before the first attempt; then `data`
    is the event's JSON, or None where it is too long for a body. `due_in_s` is None where no time
    was set, and negative where it has passed.
    """

    place: int
    id: UUID
    webhook_id: UUID
    event_id: UUID
    event_type: str
    created_at: datetime
    status: str
    attempt_count: int
    url: str
    secrets: Sequence[str]
    is_active: bool
    retry_failed: bool
    max_retries: int
    custom_headers: Mapping[str, Any]
    edited_at: datetime
    body: str | None
    data: str | None
    data_id: str | None
    data_agent_id: str | None
    due_in_s: float | None
    age_s: float
    is_asked_anew: bool
    app_url: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended. `attempt` counts the delivery's, from 1."""

    asked: Asked
    webhook_id: UUID
    attempt: int
    status: str
    http_status: int | None = None
    error_message: str | None = None
    response_body: str | None = None
    duration_ms: int | None = None
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """`status` is what the row says now; not `is_new`: this attempt was stored before."""

    status: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """At most `cap` of a webhook's deliveries in flight, and none before `until_at`."""

    webhook_id: UUID
    cap: int
    until_at: datetime | None
    reason: str


def load_letters(conn: Connection, asked: Sequence[Asked]) -> list[Letter | None]:
    """In their order; None for a delivery that is gone, or whose webhook is."""
    jobs.plan_by_key(conn)
    cursor = conn.cursor(row_factory=class_row(Letter)).execute(
        SQL.load_letters,
        {
            "job_ids": [each.job_id for each in asked],
            "delivery_ids": [each.delivery_id for each in asked],
            "data_bytes_max": DATA_BYTES_MAX,
        },
    )
    found = {letter.place: letter for letter in cursor}
    return [found.get(place) for place in range(1, len(asked) + 1)]


def store_bodies(conn: Connection, bodies: Mapping[UUID, str]) -> set[UUID]:
    """Keep what deliveries send; those that had no body before. Others have one, or are gone."""
    given = sorted(bodies.items())
    rows = conn.execute(
        SQL.store_bodies,
        {"delivery_ids": [id for id, _ in given], "bodies": [body for _, body in given]},
    )
    return {id for (id,) in rows}


def list_bodies(conn: Connection, delivery_ids: Iterable[UUID]) -> dict[UUID, str]:
    return dict(conn.execute(SQL.list_bodies, {"delivery_ids": list(delivery_ids)}).fetchall())


def hold_jobs(conn: Connection, held: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    """Lock jobs, given as (id, attempt), against finish and rescue; those that are still held."""
    jobs.plan_by_key(conn)
    pairs = sorted(held)
    rows = conn.execute(
        SQL.hold_jobs,
        {"job_ids": [id for id, _ in pairs], "attempts": [attempt for _, attempt in pairs]},
    )
    return set(rows.fetchall())


def lock_webhooks(conn: Connection, webhook_ids: Iterable[UUID]) -> None:
    conn.execute(SQL.lock_webhooks, {"webhook_ids": sorted(set(webhook_ids))})


def store_results(conn: Connection, results: Iterable[Result]) -> dict[UUID, Stored]:
    """Write how attempts ended, once their jobs are held; by delivery, but for those gone."""
    given = sorted(results, key=lambda result: result.asked.delivery_id)
    rows = conn.execute(
        SQL.store_results,
        {
            "delivery_ids": [each.asked.delivery_id for each in given],
            "attempts": [each.attempt for each in given],
            "statuses": [each.status for each in given],
            "http_statuses": [each.http_status for each in given],
            "error_messages": [each.error_message for each in given],
            "response_bodies": [each.response_body for each in given],
            "durations_ms": [each.duration_ms for each in given],
            "waits_s": [each.wait_s for each in given],
            "excerpt_chars_max": EXCERPT_CHARS_MAX,
        },
    )
    return {id: Stored(status, is_new) for id, status, is_new in rows}


def list_endpoints(conn: Connection, webhook_ids: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    """The rows of worker.endpoints there are, by webhook, once these are locked."""
    cursor = conn.cursor(row_factory=dict_row)
    rows = cursor.execute(SQL.list_endpoints, {"webhook_ids": list(webhook_ids)})
    return {row.pop("webhook_id"): row for row in rows}


def list_edits(conn: Connection, webhook_ids: Iterable[UUID]) -> dict[UUID, datetime]:
    """When webhooks were last changed by their owners."""
    return dict(conn.execute(SQL.list_edits, {"webhook_ids": list(webhook_ids)}).fetchall())


def read_clock(conn: Connection) -> datetime:
    row = conn.execute(SQL.read_clock).fetchone()
    assert row is not None
    now: datetime = row[0]
    return now


def store_endpoints(conn: Connection, endpoints: Mapping[UUID, Mapping[str, Any]]) -> None:
    """Write the columns of `list_endpoints`, by webhook."""
    rows = [{**endpoint, "webhook_id": id} for id, endpoint in sorted(endpoints.items())]
    conn.cursor().executemany(SQL.store_endpoint, rows)


def hold_lanes(conn: Connection, holds: Iterable[Hold]) -> None:
    conn.cursor().executemany(SQL.hold_lane, [asdict(hold) for hold in holds])


def release_lanes(conn: Connection, webhook_ids: Iterable[UUID]) -> None:
    rows = [{"webhook_id": id} for id in sorted(webhook_ids)]
    conn.cursor().executemany(SQL.release_lane, rows)


def disable_webhook(
    conn: Connection, webhook_id: UUID, *, reason: str, failing_since: datetime
) -> bool:
    """Switch it off and tell its owner, once; False where it is off already."""
    arguments = {"webhook_id": webhook_id, "reason": reason, "failing_since": failing_since}
    row = conn.execute(SQL.disable_webhook, arguments).fetchone()
    return row is not None and bool(row[0])
