"""Why mails did not go out, grouped by what their errors have in common. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from db.watched_emails import Reason
from workers.dashboard import masks

SHAPE_CHARS_MAX = 160
NO_REASON = "no reason is known"
# What differs from mail to mail: quotes, ids, addresses, numbers.
VARYING = re.compile(
    r"'[^']{0,200}'|\"[^\"]{0,200}\"|<[^>]{0,200}>"
    r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\d+(?:\.\d+)*"
)
# Codes of SMTP and HTTP tell reasons apart.
CODE = re.compile(r"\A(?:[2345]\d\d|[245]\.\d{1,3}\.\d{1,3})\Z")


@dataclass(slots=True)
class Group:
    """Mails that failed alike; `example` is the newest error, its addresses hidden."""

    shape: str
    example: str
    count: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    types: set[str] = field(default_factory=set)


def group(reasons: Iterable[Reason]) -> list[Group]:
    """Reasons, the newest first, by their shape; the most frequent first."""
    groups: dict[str, Group] = {}
    for reason in reasons:
        if reason.error is None:
            continue
        known = shape(reason.error)
        found = groups.setdefault(known, Group(known, masks.addresses(reason.error)))
        found.count += 1
        found.first_at = reason.created_at
        found.last_at = found.last_at or reason.created_at
        found.types.add(reason.type)
    return sorted(groups.values(), key=lambda each: (-each.count, each.shape))


def shape(error: str) -> str:
    """The error without what differs from mail to mail."""
    plain = masks.addresses(error, 4 * SHAPE_CHARS_MAX)
    hidden = re.sub(r"\S\*\*\*@[^\s<>,:;]+", "\u2026", plain)
    return masks.cut(VARYING.sub(blank, hidden), SHAPE_CHARS_MAX) or NO_REASON


def blank(found: re.Match[str]) -> str:
    return found[0] if CODE.match(found[0]) else "\u2026"
