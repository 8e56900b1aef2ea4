"""Statements about mails; see emails.sql. No function commits."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row

from db import rows
from db.pool import Connection
from db.statements import load

SQL = load("emails")


@dataclass(frozen=True, slots=True)
class Email:
    """A row of email_logs and how far its sending came.

    `was_handed`: a provider may have it; `request` is what that one was sent, if it can tell a
    second copy. `failures` are in a row; `waited_s` is since it was queued.
    """

    id: UUID
    user_id: UUID | None
    to_email: str
    from_email: str | None
    subject: str | None
    email_type: str
    template_id: str | None
    template_data: str | None
    status: str
    number: int
    message_id: str | None
    provider: str | None
    failures: int
    was_handed: bool
    request: bytes | None
    handed_s: float
    waited_s: float
    app_url: str


@dataclass(frozen=True, slots=True)
class ListedEmail:
    """A mail as operators see it in a list."""

    id: UUID
    to_email: str
    email_type: str
    status: str
    subject: str | None
    error_message: str | None
    provider: str | None
    created_at: datetime
    sent_at: datetime | None


def load_email(conn: Connection, email_id: UUID) -> Email | None:
    cursor = conn.cursor(row_factory=class_row(Email))
    return cursor.execute(SQL.load_email, {"email_id": email_id}).fetchone()


def begin_sending(conn: Connection, email_id: UUID, *, message_id: str, provider: str) -> bool:
    """Show that the mail is on its way; False when the row is gone or was settled meanwhile."""
    values = {"email_id": email_id, "message_id": message_id, "provider": provider}
    return conn.execute(SQL.begin_sending, values).rowcount == 1


def mark_handed(conn: Connection, email_id: UUID, *, request: bytes | None) -> None:
    """Note that a provider may have the mail from now on."""
    conn.execute(SQL.mark_handed, {"email_id": email_id, "request": request})


def mark_sent(conn: Connection, email_id: UUID, *, provider_message_id: str | None) -> None:
    values = {"email_id": email_id, "provider_message_id": provider_message_id}
    conn.execute(SQL.mark_sent, values)


def mark_waiting(
    conn: Connection, email_id: UUID, *, message: str, failures: int, was_taken: bool
) -> None:
    """Back to `queued` until the next attempt; `failures` more of them count."""
    values = {
        "email_id": email_id,
        "message": message,
        "failures": failures,
        "was_taken": was_taken,
    }
    conn.execute(SQL.mark_waiting, values)


def mark_ended(conn: Connection, email_id: UUID, *, status: str, message: str) -> None:
    """`failed` or `uncertain`, with a sentence for whoever reads the row."""
    conn.execute(SQL.mark_ended, {"email_id": email_id, "status": status, "message": message})


def take_turn(
    conn: Connection, lane: str, *, per_s: float, burst: int, wait_s_max: float
) -> float | None:
    """Take a place in a rate that all processes share: the seconds until it is there.

    None, and no place, where that is more than `wait_s_max`.
    """
    values = {"lane": lane, "per_s": per_s, "burst": burst, "wait_s_max": wait_s_max}
    row = conn.execute(SQL.take_turn, values).fetchone()
    return None if row is None else float(row[0])


def read_wait(conn: Connection, lane: str, *, per_s: float, burst: int) -> float:
    """Seconds until the next place in that rate."""
    row = conn.execute(SQL.read_wait, {"lane": lane, "per_s": per_s, "burst": burst}).fetchone()
    return 0.0 if row is None else float(row[0])


def shut_bucket(conn: Connection, lane: str, *, per_s: float, wait_s: float) -> None:
    """Let nobody have a place for so long."""
    conn.execute(SQL.shut_bucket, {"lane": lane, "per_s": per_s, "wait_s": wait_s})


def list_emails(conn: Connection, *, status: str | None, rows_max: int) -> list[ListedEmail]:
    """The newest first; of every status where that is None."""
    cursor = conn.cursor(row_factory=rows.of(ListedEmail))
    return cursor.execute(SQL.list_emails, {"status": status, "rows_max": rows_max}).fetchall()


def get_email(conn: Connection, email_id: UUID) -> dict[str, Any] | None:
    """The whole row, its sending and its unfinished job."""
    cursor = conn.cursor(row_factory=dict_row)
    return cursor.execute(SQL.get_email, {"email_id": email_id}).fetchone()


def settle_email(conn: Connection, email_id: UUID, *, outcome: str) -> str:
    """An operator's word: sent, resend or failed; the new status.

    Raises psycopg's InvalidParameterValue where there is nothing to settle.
    """
    row = conn.execute(SQL.settle_email, {"email_id": email_id, "outcome": outcome}).fetchone()
    assert row is not None
    return str(row[0])
