"""Webhooks of the caller and their deliveries; see webhooks.sql. No function commits."""

from collections.abc import Sequence
from typing import Unpack
from uuid import UUID

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
