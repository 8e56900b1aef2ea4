"""The bytes that a receiver gets: `{"type", "timestamp", "data"}`. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

# From this size on an event is thin: ids, and where the rest can be read.
BODY_BYTES_MAX = 20_000
ID_CHARS_MAX = 200

# jsonb is written as `{"a": 1, "b": [2, 3]}`: all but the blanks outside of quotes.
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[^" ]+')


@dataclass(frozen=True, slots=True)
class Event:
    """What a delivery tells of, its JSON as Postgres writes it: Python would cut long numbers.

    `data` is None where it is far too long for a body; `ids` are those of its fields.
    """

    delivery_id: UUID
    type: str
    created_at: datetime
    data: str | None
    ids: Mapping[str, str]


def write_body(event: Event, *, app_url: str) -> bytes:
    """Compact JSON in UTF-8, the same bytes for the same event."""
    if event.data is not None:
        whole = _write(event, "".join(_TOKENS.findall(event.data)))
        if len(whole) < BODY_BYTES_MAX:
            return whole
    return _write(event, _thin(event, app_url))


def _write(event: Event, data: str) -> bytes:
    at = event.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    head = f'{{"type":{_text(event.type)},"timestamp":{_text(at)}'
    return f'{head},"data":{data}}}'.encode()


def _thin(event: Event, app_url: str) -> str:
    link = f"{app_url.rstrip('/')}/webhooks/deliveries/{event.delivery_id}"
    known = [
        f"{_text(name)}:{json_text}"
        for name, json_text in event.ids.items()
        if len(json_text) <= ID_CHARS_MAX
    ]
    return "{" + ",".join([*known, '"thin":true', f'"link":{_text(link)}']) + "}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
