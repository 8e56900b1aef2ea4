"""Statements about addresses that get no mail; see suppressions.sql. No function commits.

Addresses are given as `pipelines.email.mailbox.normalise` spells them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from db.pool import Connection
from db.statements import load

SQL = load("suppressions")

Reason = Literal["bounced", "complained", "unsubscribed", "manual"]
REASONS: tuple[Reason, ...] = ("bounced", "complained", "unsubscribed", "manual")


@dataclass(frozen=True, slots=True)
class Suppression:
    """Why an address gets no mail; no category means all of them."""

    reason: Reason
    category: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A suppression as operators see it; `address` is None where only its hash is known."""

    id: int
    address: str | None
    address_hash: str
    category: str | None
    user_id: UUID | None
    reason: Reason
    note: str | None
    email_id: UUID | None
    created_at: datetime


def find(
    conn: Connection, address: str, category: str, *, user_id: UUID | None
) -> Suppression | None:
    """What keeps mails of this category and user from the address, the gravest first."""
    values = {"address": address, "category": category, "user_id": user_id}
    row = conn.execute(SQL.find, values).fetchone()
    return None if row is None else Suppression(*row)


def add(
    conn: Connection,
    address: str,
    reason: Reason,
    *,
    category: str | None = None,
    note: str | None = None,
    email_id: UUID | None = None,
) -> bool:
    """Suppress the address, whoever writes to it; False when it was already for this reason."""
    values = {
        "address": address,
        "reason": reason,
        "category": category,
        "note": note,
        "email_id": email_id,
    }
    return conn.execute(SQL.add, values).rowcount == 1


def unsubscribe(
    conn: Connection,
    address_hash: bytes,
    category: str,
    *,
    user_id: UUID | None,
    email_id: UUID | None,
    address: str | None,
) -> bool:
    """End one category of one user's mails; False when it had ended before.

    The address is None where only the hash of it is known.
    """
    values = {
        "address": address,
        "address_hash": address_hash,
        "category": category,
        "user_id": user_id,
        "email_id": email_id,
    }
    return conn.execute(SQL.unsubscribe, values).rowcount == 1


def remove(conn: Connection, address: str, *, category: str | None = None) -> int:
    """Let mail go to the address again, all of it or that of a category; how many rows went."""
    return conn.execute(SQL.remove, {"address": address, "category": category}).rowcount


def list_suppressions(
    conn: Connection, *, address: str | None = None, reason: str | None = None, rows_max: int
) -> list[Listed]:
    """Newest first."""
    values = {"address": address, "reason": reason, "rows_max": rows_max}
    return [Listed(*row) for row in conn.execute(SQL.list_suppressions, values)]
