"""Statements about what became of mails; see email_events.sql. No function commits."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("email_events")

# Proxies may fetch a picture again and again.
EVENTS_PER_MAIL_MAX = 200


@dataclass(frozen=True, slots=True)
class Told:
    """An event as somebody told it: of a mail that we know by id, or by the provider's name."""

    provider: str
    type: str
    at: datetime
    email_id: UUID | None = None
    provider_event_id: str | None = None
    provider_message_id: str | None = None
    by_bot: bool = False
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a mail; not `applied` until the mail's row has taken it in."""

    id: int
    type: str
    at: datetime
    by_bot: bool
    applied: bool
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mail:
    """What is known of a mail; events before `since` are about an earlier copy of it."""

    id: UUID
    to_email: str
    status: str
    sent_at: datetime | None
    delivered_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    error_message: str | None
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one delivery to an address ended."""

    type: str
    at: datetime
    hard: bool


def insert_events(conn: Connection, told: Sequence[Told]) -> list[UUID | None]:
    """The mail of each event that is new, None where none of ours is known for it yet."""
    values = {
        "email_ids": [each.email_id for each in told],
        "providers": [each.provider for each in told],
        "provider_event_ids": [each.provider_event_id for each in told],
        "provider_message_ids": [each.provider_message_id for each in told],
        "types": [each.type for each in told],
        "ats": [each.at for each in told],
        "by_bots": [each.by_bot for each in told],
        "details": [Jsonb(dict(each.details)) for each in told],
        "our_now": datetime.now(UTC),
        "events_max": EVENTS_PER_MAIL_MAX,
    }
    return [row[0] for row in conn.execute(SQL.insert_events, values)]


def match_events(conn: Connection, *, within_s: float) -> None:
    """Find the mails of events that came too early, those of the last `within_s` seconds."""
    conn.execute(SQL.match_events, {"within_s": within_s})


def list_waiting(conn: Connection, *, within_s: float, rows_max: int) -> list[UUID]:
    """Mails that can now take in events which had to wait."""
    values = {"within_s": within_s, "rows_max": rows_max}
    return [row[0] for row in conn.execute(SQL.list_waiting, values)]


def count_waiting(conn: Connection, *, within_s: float) -> int:
    """Events of that time that no mail's row has taken in."""
    row = conn.execute(SQL.count_waiting, {"within_s": within_s}).fetchone()
    assert row is not None
    return int(row[0])


def hold_mails(conn: Connection, email_ids: Sequence[UUID]) -> list[Mail]:
    """Lock those of the mails that events may move, in the order of their ids."""
    return [Mail(*row) for row in conn.execute(SQL.hold_mails, {"email_ids": list(email_ids)})]


def list_events(conn: Connection, email_ids: Sequence[UUID]) -> dict[UUID, list[Event]]:
    """All events of each mail, oldest first."""
    found: dict[UUID, list[Event]] = defaultdict(list)
    for email_id, *event in conn.execute(SQL.list_events, {"email_ids": list(email_ids)}):
        found[email_id].append(Event(*event))
    return found


def store_mail(conn: Connection, mail: Mail) -> None:
    conn.execute(
        SQL.store_mail,
        {
            "email_id": mail.id,
            "status": mail.status,
            "sent_at": mail.sent_at,
            "delivered_at": mail.delivered_at,
            "opened_at": mail.opened_at,
            "clicked_at": mail.clicked_at,
            "error_message": mail.error_message,
        },
    )


def mark_bots(conn: Connection, ids: Sequence[int]) -> None:
    conn.execute(SQL.mark_bots, {"ids": list(ids)})


def mark_applied(conn: Connection, ids: Sequence[int], *, address_hash: bytes) -> None:
    conn.execute(SQL.mark_applied, {"ids": list(ids), "address_hash": address_hash})


def list_outcomes(conn: Connection, address_hash: bytes, *, rows_max: int) -> list[Outcome]:
    """How the last deliveries to the address ended, newest first."""
    values = {"address_hash": address_hash, "rows_max": rows_max}
    return [Outcome(*row) for row in conn.execute(SQL.list_outcomes, values)]


def find_address(conn: Connection, email_id: UUID) -> str | None:
    """To whom a mail went, as it stands in its row."""
    row = conn.execute(SQL.find_address, {"email_id": email_id}).fetchone()
    return None if row is None else str(row[0])
