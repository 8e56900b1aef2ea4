"""What Resend's webhooks say, in our words."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from db.email_events import Told
from pipelines.email.machines import is_machine

PROVIDER = "resend"
TYPES = {
    "email.sent": "sent",
    "email.delivered": "delivered",
    "email.delivery_delayed": "deferred",
    "email.bounced": "bounced",
    "email.complained": "complained",
    "email.opened": "opened",
    "email.clicked": "clicked",
    "email.failed": "failed",
    "email.suppressed": "rejected",
}
OUR_ID = re.compile(r"\A<?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:[.@]|\Z)")
TEXT_CHARS_MAX = 1_000
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)


def read_event(body: Mapping[str, Any], *, event_id: str, now: datetime) -> Told | None:
    """None for what is not about a mail that we sent."""
    kind = TYPES.get(str(body.get("type")))
    data = mapping(body.get("data"))
    if kind is None:
        return None
    return Told(
        provider=PROVIDER,
        type=kind,
        at=read_time(body.get("created_at"), now=now),
        email_id=find_id(data),
        provider_event_id=event_id,
        provider_message_id=text(data.get("email_id")) or None,
        by_bot=is_bot(kind, data),
        details=read_details(kind, data),
    )


def read_time(value: object, *, now: datetime) -> datetime:
    """The time of the event; now where it is none, or cannot be."""
    try:
        at = datetime.fromisoformat(str(value))
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC) if EARLIEST <= at <= now else now
    except (ValueError, OverflowError):
        return now


def find_id(data: Mapping[str, Any]) -> UUID | None:
    """Our own id of the mail, where it came back: as a tag, or in the Message-ID that we made."""
    named = (
        *(("tag", value) for name, value in pairs(data.get("tags")) if name == "email_id"),
        *pairs(data.get("headers")),
        ("message-id", text(data.get("message_id"))),
    )
    for name, value in named:
        ours = OUR_ID.match(value) if name.lower() in ("tag", "message-id") else None
        if ours:
            return UUID(ours[1])
    return None


def pairs(value: object) -> Iterator[tuple[str, str]]:
    """Names and values, of an object or of a list of objects: Resend has used both."""
    if isinstance(value, Mapping):
        yield from ((str(name), str(each)) for name, each in value.items())
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, Mapping):
                yield str(each.get("name")), str(each.get("value"))


def is_bot(kind: str, data: Mapping[str, Any]) -> bool:
    agent = visit(kind, data).get("userAgent")
    return isinstance(agent, str) and is_machine(agent)


def visit(kind: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is said of an opening or a click."""
    return mapping(data.get({"opened": "open", "clicked": "click"}.get(kind, "")))


def read_details(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """What people want to know of it; never the whole of what was posted."""
    bounce = mapping(data.get("bounce"))
    about = mapping(data.get({"failed": "failed", "rejected": "suppressed"}.get(kind, "bounce")))
    details: dict[str, Any] = {
        "reason": text(about.get("message") or about.get("reason")),
        "bounce_type": text(bounce.get("type")),
        "bounce_subtype": text(bounce.get("subType")),
        "url": text(visit(kind, data).get("link")),
        "user_agent": text(visit(kind, data).get("userAgent")),
    }
    if kind == "bounced":
        details["hard"] = text(bounce.get("type")).lower() == "permanent"
    return {name: value for name, value in details.items() if value != ""}


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """Short, and without what Postgres cannot store; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    return value.replace("\x00", "").encode("utf-8", "replace").decode()[:TEXT_CHARS_MAX]
