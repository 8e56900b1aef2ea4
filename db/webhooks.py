"""Webhooks of the caller and their deliveries; see webhooks.sql. No function commits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Unpack
from uuid import UUID

from psycopg.rows import class_row

from db import rows
from db.pool import Connection
from db.statements import load
from db.types.database_types import (
    WebhookDeliveriesRow,
    WebhooksInsert,
    WebhooksRow,
    WebhooksUpdate,
)

SQL = load("webhooks")

Delivery = WebhookDeliveriesRow
Webhook = WebhooksRow
State = Literal["closed", "slow", "open", "half_open", "disabled"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt ended; one that arrived has no error. Counts from 1 after a redelivery."""

    attempt: int
    at: datetime
    http_status: int | None
    error_message: str | None
    duration_ms: int | None
    response_excerpt: str | None


@dataclass(frozen=True, slots=True)
class WebhookHealth:
    """How a webhook's receiver is doing; closed: all is well. `next_attempt_at` of any delivery."""

    state: State
    failing_since: datetime | None
    consecutive_failures: int
    next_attempt_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ListedWebhook:
    """A webhook as operators see it; `waiting` deliveries are on their way."""

    id: UUID
    name: str
    url: str
    owner: str | None
    is_active: bool
    state: State
    failing_since: datetime | None
    next_attempt_at: datetime | None
    reason: str | None
    total_deliveries: int
    successful_deliveries: int
    failed_deliveries: int
    waiting: int


def create(conn: Connection, **row: Unpack[WebhooksInsert]) -> Webhook:
    """Insert a webhook, with a random secret unless one is given. Raises UnknownColumnError."""
    cursor = conn.cursor(row_factory=rows.of(Webhook))
    created = cursor.execute(SQL.create, {"row": rows.checked(SQL.create, row)}).fetchone()
    assert created is not None
    return created


def get(conn: Connection, webhook_id: UUID) -> Webhook | None:
    cursor = conn.cursor(row_factory=rows.of(Webhook))
    return cursor.execute(SQL.get, {"webhook_id": webhook_id}).fetchone()


def list(
    conn: Connection, user_id: UUID | None = None, *, limit: int = 50, offset: int = 0
) -> Sequence[Webhook]:
    """The caller's webhooks, newest first; of one user where the caller sees those of many."""
    filters = {"user_id": user_id, **rows.page(limit=limit, offset=offset)}
    return conn.cursor(row_factory=rows.of(Webhook)).execute(SQL.list, filters).fetchall()


def update(conn: Connection, webhook_id: UUID, **changes: Unpack[WebhooksUpdate]) -> Webhook | None:
    """Change the named columns; None where the caller has no such webhook."""
    cursor = conn.cursor(row_factory=rows.of(Webhook))
    row = rows.checked(SQL.update, changes)
    return cursor.execute(SQL.update, {"webhook_id": webhook_id, "row": row}).fetchone()


def delete(conn: Connection, webhook_id: UUID) -> bool:
    """Delete the webhook and its history; False where the caller has no such webhook."""
    return conn.execute(SQL.delete, {"webhook_id": webhook_id}).rowcount == 1


def get_deliveries(
    conn: Connection, webhook_id: UUID, limit: int = 50, *, offset: int = 0
) -> Sequence[Delivery]:
    """What was sent to a webhook, newest first."""
    span = {"webhook_id": webhook_id, **rows.page(limit=limit, offset=offset)}
    cursor = conn.cursor(row_factory=rows.of(Delivery))
    return cursor.execute(SQL.get_deliveries, span).fetchall()


def redeliver(conn: Connection, delivery_id: UUID) -> None:
    """Send a delivery again: the same event id and body, a new retry plan.

    Raises psycopg.errors.NoDataFound where the caller has none, and
    ObjectNotInPrerequisiteState where its webhook is not active.
    """
    conn.execute(SQL.redeliver, {"delivery_id": delivery_id})


def redeliver_many(conn: Connection, delivery_ids: Iterable[UUID]) -> int:
    """As redeliver(), at most 1000 at a time; how many of the ids are the caller's."""
    ids = [*delivery_ids]
    return int(_answer(conn, SQL.redeliver_many, delivery_ids=ids))


def recover(conn: Connection, webhook_id: UUID, since: datetime) -> int:
    """Send again what failed, was blocked or cancelled since then, oldest first; how many.

    At most 10,000 a call, spread to 20 a second: call again for the rest.
    """
    return int(_answer(conn, SQL.recover, webhook_id=webhook_id, since=since))


def send_test(conn: Connection, webhook_id: UUID) -> UUID:
    """Send a `webhook.test` event, also to an inactive webhook; the delivery's id.

    At most 20 a minute: then psycopg raises an error of sqlstate PT429.
    """
    return UUID(str(_answer(conn, SQL.send_test, webhook_id=webhook_id)))


def get_attempts(conn: Connection, delivery_id: UUID) -> Sequence[Attempt]:
    """Every attempt that ended, oldest first."""
    cursor = conn.cursor(row_factory=class_row(Attempt))
    return cursor.execute(SQL.get_attempts, {"delivery_id": delivery_id}).fetchall()


def get_health(conn: Connection, webhook_id: UUID) -> WebhookHealth:
    """Raises psycopg.errors.NoDataFound where the caller has no such webhook."""
    cursor = conn.cursor(row_factory=class_row(WebhookHealth))
    found = cursor.execute(SQL.get_health, {"webhook_id": webhook_id}).fetchone()
    assert found is not None
    return found


def list_all(
    conn: Connection, *, user_id: UUID | None, troubled: bool, rows_max: int
) -> Sequence[ListedWebhook]:
    """For operators: the newest first; `troubled`: only those that are not plainly well."""
    cursor = conn.cursor(row_factory=class_row(ListedWebhook))
    wanted = {"user_id": user_id, "troubled": troubled, "rows_max": rows_max}
    return cursor.execute(SQL.list_all, wanted).fetchall()


def find_owner(conn: Connection, id: UUID) -> UUID | None:
    """Whose a webhook, or the webhook of a delivery, is."""
    row = conn.execute(SQL.find_owner, {"id": id}).fetchone()
    return None if row is None else UUID(str(row[0]))


def _answer(conn: Connection, statement: bytes, **arguments: Any) -> Any:
    row = conn.execute(statement, arguments).fetchone()
    assert row is not None
    return row[0]
