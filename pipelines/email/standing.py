"""Where a mail stands after all that was told of it, in whatever order it was told."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from db.email_events import Event, Mail, Outcome
from pipelines.email.machines import find_machines

# A mail only moves to the right. `failed` is here because a provider may take a mail and then
# refuse to send it; whatever shows that it arrived is stronger.
ORDER = (
    "sending",
    "uncertain",
    "sent",
    "failed",
    "delivered",
    "opened",
    "clicked",
    "bounced",
    "complained",
)
STATUS_OF = {
    "sent": "sent",
    "deferred": "sent",
    "unsubscribed": "sent",
    "rejected": "failed",
    "failed": "failed",
    "delivered": "delivered",
    "opened": "opened",
    "clicked": "clicked",
    "bounced": "bounced",
    "complained": "complained",
}
BY_PEOPLE = ("opened", "clicked")
# Whoever has one of these has the mail, whatever we know of its sending.
SHOW_SENDING = tuple(kind for kind, status in STATUS_OF.items() if status != "failed")
MESSAGE_CHARS_MAX = 1_000
# A mailbox that takes nothing for so long, and so often in a row, is as good as none.
SOFT_BOUNCES = 5
SOFT_BOUNCES_S = 7 * 86_400


def advance(mail: Mail, events: Sequence[Event]) -> tuple[Mail, set[int]]:
    """The mail after these events, and the ids of those that are found to be machines'.

    All events of the mail are given each time, so their order does not matter.
    """
    current = [event for event in events if mail.since is None or event.at >= mail.since]
    machines = find_machines(current, mail.sent_at)
    found = machines - {event.id for event in current if event.by_bot}
    people = [event for event in current if event.type in BY_PEOPLE and event.id not in machines]
    mail = take_back(mail, [event for event in current if event.id in found and event.applied])
    reached = [(status_of(event, machines), event) for event in current]
    moved = replace(
        mail,
        status=furthest(mail.status, [status for status, _ in reached if status]),
        sent_at=mail.sent_at or first(None, current, *SHOW_SENDING),
        delivered_at=first(mail.delivered_at, current, "delivered"),
        opened_at=first(mail.opened_at, people, *BY_PEOPLE),
        clicked_at=first(mail.clicked_at, people, "clicked"),
    )
    return replace(moved, error_message=message_of(mail, moved, current)), found


def status_of(event: Event, machines: set[int]) -> str | None:
    """A machine that opens or follows shows that the mail was sent, and no more."""
    return "sent" if event.id in machines else STATUS_OF.get(event.type)


def furthest(status: str, reached: Sequence[str]) -> str:
    return max((status, *reached), key=ORDER.index)


def first(known: datetime | None, events: Sequence[Event], *types: str) -> datetime | None:
    times = [event.at for event in events if event.type in types]
    return min((time for time in (known, *times) if time is not None), default=None)


def take_back(mail: Mail, mistaken: Sequence[Event]) -> Mail:
    """The mail without what was held for a person's doing until a scanner showed itself."""
    times = {event.at for event in mistaken}
    if not times & {mail.opened_at, mail.clicked_at}:
        return mail
    kept = replace(
        mail,
        opened_at=None if mail.opened_at in times else mail.opened_at,
        clicked_at=None if mail.clicked_at in times else mail.clicked_at,
    )
    return replace(kept, status=earned(kept)) if mail.status in BY_PEOPLE else kept


def earned(mail: Mail) -> str:
    """What the times of a mail stand for."""
    if mail.clicked_at:
        return "clicked"
    if mail.opened_at:
        return "opened"
    return "delivered" if mail.delivered_at else "sent"


def message_of(before: Mail, after: Mail, events: Sequence[Event]) -> str | None:
    """Why the mail failed or came back; nothing of what an arrived mail once met."""
    if after.status == before.status:
        return before.error_message
    if after.status not in ("failed", "bounced", "complained"):
        return None
    reason = next(
        (
            str(event.details["reason"])
            for event in events
            if STATUS_OF.get(event.type) == after.status and event.details.get("reason")
        ),
        "",
    )
    return f"{SENTENCES[after.status]}{': ' if reason else ''}{reason}"[:MESSAGE_CHARS_MAX]


SENTENCES = {
    "failed": "The provider did not send it",
    "bounced": "The mail came back",
    "complained": "The recipient marked the mail as spam",
}


def is_hard_bounce(event: Event) -> bool:
    return event.type == "bounced" and bool(event.details.get("hard"))


def is_worn_out(outcomes: Sequence[Outcome]) -> bool:
    """Whether the last deliveries to an address, newest first, all bounced, if softly."""
    last = outcomes[:SOFT_BOUNCES]
    return (
        len(last) == SOFT_BOUNCES
        and all(outcome.type == "bounced" for outcome in last)
        and (last[0].at - last[-1].at).total_seconds() >= SOFT_BOUNCES_S
    )
