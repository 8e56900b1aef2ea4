"""The story of `send_email`: read the row, write the mail, note that it is on its way, send it.

Two marks are committed before a provider can have it: `sending`, and the one right before the
last bytes go out. Whoever goes on after a crash reads from them whether a second try could be a
second mail.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db import emails, suppressions
from db.emails import Email
from db.fence import Fence
from db.pool import AWAY, Connection
from pipelines.email.address import Address, parse_address
from pipelines.email.attachments import read_attachments
from pipelines.email.compose import Letter, clean_subject, make_message_id
from pipelines.email.links import Links
from pipelines.email.mailbox import normalise
from pipelines.email.plan import counts, next_wait_s
from pipelines.email.render import Rendered, render
from pipelines.email.track import Reader, track, unsubscribe_headers
from pipelines.errors import JobError, Misconfigured, Permanent, Postponed, Snooze
from pipelines.gateways.mail import Parcel, Transport
from pipelines.gateways.mail_failures import MailDelayed, MailRefused, MailUncertain

# For a turn that comes soon a thread waits; for a later one the job does.
TURN_S_MAX = 3.0
LATER_S_MAX = 600.0
STORE_S = 15.0
STORE_AGAIN_S = 0.5
# What the pipeline takes from template_data itself.
OWN_FIELDS = frozenset({"attachments", "reply_to"})
SUPPRESSED: Mapping[str, str] = {
    "bounced": "Not sent: mail to this address came back before.",
    "complained": "Not sent: this address marked our mail as spam.",
    "unsubscribed": "Not sent: this address has unsubscribed from such mails.",
    "manual": "Not sent: this address is on the list of those that get no mail.",
}
BROKE_OFF = "Sending broke off after the mail was handed over: it may have arrived or not."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Desk:
    """What sending works with. Without `links` nothing is tracked; `sender` is EMAIL_FROM."""

    db: Fence
    transport: Transport
    sender: Address
    links: Links | None
    luck: Callable[[], float] = random.random


def run(desk: Desk, *, email_id: UUID) -> dict[str, Any]:
    """What became of the mail, for the job's row. Raises Permanent, Postponed or Snooze."""
    with desk.db.read() as conn:
        email = emails.load_email(conn, email_id)
    if email is None:
        return {"status": "gone"}
    if email.status not in ("queued", "sending"):
        return {"status": email.status}
    if email.was_handed and find_parcel(desk.transport, email) is None:
        return end(desk, email, "uncertain", BROKE_OFF)
    wait_for_turn(desk)
    try:
        parcel = find_parcel(desk.transport, email) or prepare(desk, email)
    except Misconfigured as error:
        raise put_off(desk, email, MailDelayed(str(error), by_operator=True)) from error
    if isinstance(parcel, str):
        return end(desk, email, "failed", parcel)
    return deliver(desk, email, parcel)


def find_parcel(transport: Transport, email: Email) -> Parcel | None:
    """What a provider may have that will know it for the same; None where none would."""
    may_ask = email.provider == transport.provider and email.handed_s < transport.replay_s
    if not (email.was_handed and may_ask) or email.request is None or email.message_id is None:
        return None
    sender = recipient = ""  # Such providers read them in the request.
    return Parcel(email.message_id, key_of(email), sender, recipient, email.request)


def key_of(email: Email) -> str:
    return f"{email.id}/{email.number}"


def prepare(desk: Desk, email: Email) -> Parcel | str:
    """The mail, packed; a sentence where it is not to be sent. Raises Permanent."""
    letter = write(desk, email)
    if isinstance(letter, str):
        return letter
    return Parcel(
        letter.message_id,
        key_of(email),
        letter.sender.spec,
        letter.recipient.spec,
        desk.transport.pack(letter),
        needs_utf8=letter.needs_utf8,
    )


def write(desk: Desk, email: Email) -> Letter | str:
    """The mail as its reader gets it; a sentence where it is not to be sent.

    Raises Permanent for a row that makes no mail.
    """
    data = read_data(email.template_data)
    recipient = parse_address(email.to_email)
    sender = parse_address(email.from_email) if email.from_email else desk.sender
    rendered = render(
        email.template_id or email.email_type,
        {name: value for name, value in data.items() if name not in OWN_FIELDS},
        subject=email.subject,
        app_url=email.app_url,
    )
    with desk.db.read() as conn:
        if (refusal := find_refusal(conn, email, rendered, recipient)) is not None:
            return refusal
    rendered, headers = add_links(desk.links, email, rendered, recipient)
    return Letter(
        message_id=email.message_id or make_message_id(email.id, email.number, sender.domain),
        sender=sender,
        recipient=recipient,
        subject=clean_subject(rendered.subject),
        html=rendered.html,
        text=rendered.text,
        reply_to=read_reply_to(data.get("reply_to")),
        headers=headers,
        attachments=read_attachments(data.get("attachments")),
    )


def read_data(text: str | None) -> dict[str, Any]:
    """What the row gives the template. Postgres stores JSON that Python does not read."""
    try:
        data = json.loads(text or "null")
    except (RecursionError, ValueError) as error:
        raise Permanent("template_data is nested too deep, or holds too long a number") from error
    if not isinstance(data, dict):
        raise Permanent("template_data must be a JSON object")
    return data


def find_refusal(
    conn: Connection, email: Email, rendered: Rendered, recipient: Address
) -> str | None:
    address = normalise(recipient.spec)
    found = suppressions.find(conn, address, rendered.category, user_id=email.user_id)
    return None if found is None else SUPPRESSED[found.reason]


def add_links(
    links: Links | None, email: Email, rendered: Rendered, recipient: Address
) -> tuple[Rendered, Mapping[str, str]]:
    """What a mail carries so that we learn what became of it, and its reader can end it."""
    if links is None:
        return rendered, {}
    reader = Reader(recipient.spec, email.user_id)
    headers = unsubscribe_headers(rendered.category, links=links, email_id=email.id, reader=reader)
    return track(rendered, links=links, email_id=email.id, reader=reader), headers


def read_reply_to(value: Any) -> Address | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        raise Permanent("template_data.reply_to must be an email address")
    return parse_address(value)


def deliver(desk: Desk, email: Email, parcel: Parcel) -> dict[str, Any]:
    provider = desk.transport.provider
    with desk.db.write() as conn:
        begun = emails.begin_sending(
            conn, email.id, message_id=parcel.message_id, provider=provider
        )
    if not begun:
        return {"status": "settled"}

    def hand_over() -> None:
        # A provider that may have it is sent the very same bytes, or it could not tell.
        kept = parcel.body if desk.transport.replay_s > 0 else None
        with desk.db.write() as conn:
            emails.mark_handed(conn, email.id, request=kept)

    try:
        known_as = desk.transport.send(parcel, hand_over)
    except MailUncertain as error:
        return end(desk, email, "uncertain", sentence(error))
    except MailRefused as error:
        end(desk, email, "failed", sentence(error))
        raise
    except MailDelayed as error:
        raise put_off(desk, email, error) from error
    store(desk, lambda conn: emails.mark_sent(conn, email.id, provider_message_id=known_as))
    log.info("sent %s by %s: %s", email.email_type, provider, parcel.message_id)
    return {"status": "sent", "provider": provider, "message_id": parcel.message_id}


def wait_for_turn(desk: Desk) -> None:
    """Keep to the provider's rate, which all processes share. Raises Snooze for a later turn."""
    rate = desk.transport.rate
    if rate is None:
        return
    with desk.db.write() as conn:
        wait_s = emails.take_turn(
            conn, rate.lane, per_s=rate.per_s, burst=rate.burst, wait_s_max=TURN_S_MAX
        )
        if wait_s is None:
            later_s = emails.read_wait(conn, rate.lane, per_s=rate.per_s, burst=rate.burst)
            # Spread, so that those who wait do not all come at once.
            raise Snooze(min(max(later_s, TURN_S_MAX), LATER_S_MAX) * (1 + desk.luck()))
    time.sleep(wait_s)
    desk.db.check()


def put_off(desk: Desk, email: Email, failure: MailDelayed) -> Exception:
    """Note the trouble on the row; what tells the queue when to come again, or to give up."""
    wait_s = next_wait_s(
        failure, failures=email.failures, waited_s=email.waited_s, luck=desk.luck()
    )
    if failure.by_operator:
        log.warning("mail %s waits for the operator: %s", email.id, failure)
    maybe_taken = failure.maybe_taken or email.was_handed
    if wait_s is None:
        message = f"{sentence(failure)} It was tried until now and is given up."
        end(desk, email, "uncertain" if maybe_taken else "failed", message)
        return Permanent(message)

    def note(conn: Connection) -> None:
        emails.mark_waiting(
            conn,
            email.id,
            message=sentence(failure),
            failures=int(counts(failure)),
            was_taken=maybe_taken,
        )
        rate = desk.transport.rate
        if failure.limited and rate is not None:
            pause_s = failure.retry_after_s or 1.0
            emails.shut_bucket(conn, rate.lane, per_s=rate.per_s, wait_s=pause_s)

    store(desk, note)
    return Postponed(sentence(failure), delay_s=wait_s)


def end(desk: Desk, email: Email, status: str, message: str) -> dict[str, Any]:
    store(desk, lambda conn: emails.mark_ended(conn, email.id, status=status, message=message))
    log.warning("mail %s is %s: %s", email.id, status, message)
    return {"status": status, "message": message}


def sentence(failure: JobError) -> str:
    text = str(failure)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def store(desk: Desk, write: Callable[[Connection], None]) -> None:
    """Store what is known now and cannot be asked again, even if Postgres is just restarting."""
    until = time.monotonic() + STORE_S
    while True:
        try:
            with desk.db.write() as conn:
                write(conn)
        except AWAY:
            if time.monotonic() > until:
                raise
            time.sleep(STORE_AGAIN_S)
        else:
            return
