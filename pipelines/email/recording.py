"""The story of what is told of mails: store it, move the mails, suppress addresses."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from db import email_events, suppressions
from db.email_events import Event, Mail, Told
from db.pool import Connection
from pipelines.email.links import Unsubscription
from pipelines.email.mailbox import hash_address, normalise
from pipelines.email.standing import SOFT_BOUNCES, advance, is_hard_bounce, is_worn_out

# Providers may be quicker than our own commit, by seconds; what nobody claims in days is of mails
# that somebody else sent through the same account.
EARLY_S = 600.0
WAIT_S = 3 * 86_400.0
MAILS_MAX = 500


@dataclass(frozen=True, slots=True)
class Note:
    """One thing to record: an event, or the end of a category for somebody."""

    told: Told
    unsubscription: Unsubscription | None = None


def record(conn: Connection, notes: Sequence[Note]) -> bool:
    """Store these and take them in; told twice, they count once. Whether some have to wait."""
    for note in notes:
        if note.unsubscription is not None:
            unsubscribe(conn, note.unsubscription)
    found = email_events.insert_events(conn, [note.told for note in notes])
    mails = {email_id for email_id in found if email_id is not None}
    return settle(conn, sorted(mails)) < len(mails) or None in found


def catch_up(conn: Connection, *, within_s: float) -> bool:
    """Take in events that came before their mail was ready; whether some still wait."""
    email_events.match_events(conn, within_s=within_s)
    settle(conn, email_events.list_waiting(conn, within_s=within_s, rows_max=MAILS_MAX))
    return email_events.count_waiting(conn, within_s=EARLY_S) > 0


def unsubscribe(conn: Connection, asked: Unsubscription) -> None:
    suppressions.unsubscribe(
        conn,
        asked.address_hash,
        asked.category,
        user_id=asked.user_id,
        email_id=asked.email_id,
        address=find_address(conn, asked),
    )


def find_address(conn: Connection, asked: Unsubscription) -> str | None:
    """The address, where its mail is still there; a link only knows the hash of it."""
    if asked.email_id is None:
        return None
    address = normalise(email_events.find_address(conn, asked.email_id) or "")
    return address if hash_address(address) == asked.address_hash else None


def settle(conn: Connection, email_ids: Sequence[UUID]) -> int:
    """Move these mails to where all that is known of them leads; how many could be moved."""
    mails = email_events.hold_mails(conn, email_ids)
    events = email_events.list_events(conn, [mail.id for mail in mails])
    for mail in mails:
        settle_mail(conn, mail, events[mail.id])
    return len(mails)


def settle_mail(conn: Connection, mail: Mail, events: Sequence[Event]) -> None:
    moved, machines = advance(mail, events)
    if moved != mail:
        email_events.store_mail(conn, moved)
    if machines:
        email_events.mark_bots(conn, sorted(machines))
    fresh = [event for event in events if not event.applied]
    if fresh:
        address = normalise(mail.to_email)
        ids = [event.id for event in fresh]
        email_events.mark_applied(conn, ids, address_hash=hash_address(address))
        suppress(conn, mail.id, address, fresh)


def suppress(conn: Connection, email_id: UUID, address: str, fresh: Sequence[Event]) -> None:
    """Only what is new counts: an operator may have let mail go to the address since."""
    if any(is_hard_bounce(event) for event in fresh):
        suppressions.add(conn, address, "bounced", email_id=email_id)
    elif any(event.type == "bounced" for event in fresh):
        outcomes = email_events.list_outcomes(conn, hash_address(address), rows_max=SOFT_BOUNCES)
        if is_worn_out(outcomes):
            note = f"{SOFT_BOUNCES} soft bounces in a row"
            suppressions.add(conn, address, "bounced", note=note, email_id=email_id)
    if any(event.type == "complained" for event in fresh):
        suppressions.add(conn, address, "complained", email_id=email_id)
