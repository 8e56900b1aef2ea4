"""What of a job's arguments anybody may see: what they are about, never what they say.

Ids, numbers, times and the words of fixed sets are shown; of any other text only its length is.
Names of what is secret hide their whole value, whatever it looks like.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from workers.jobs import KINDS, QUEUES

DEPTH_MAX = 6
MEMBERS_MAX = 100
VALUES_MAX = 400
# Beyond it a number is rather an account or a card than a count.
DIGITS_MAX = 13
NUMBER_MAX = 9_999_999_999_999
REVEALED_CHARS_MAX = 200_000
INDENT = "  "
FIRST, NEXT = Markup(""), Markup(",\n")

UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?"
)
EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
# The words that a name is made of: api_key, apiKey and API-KEY alike.
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
SECRET_WORDS = frozenset(
    "apikey auth authorization bearer cookie credential credentials cvc cvv iban jwt key keys otp "
    "passcode passphrase passwd password passwords pin private pwd secret secrets session "
    "signature ssn token".split()
)
MODELS = ("local", "text-embedding-ada-002", "text-embedding-3-small", "text-embedding-3-large")
EVENTS = (
    "conversation.started", "conversation.resolved", "conversation.negative", "message.created",
    "lead.captured", "lead.updated", "knowledge.completed", "knowledge.failed",
    "correction.approved", "usage.limit_reached", "billing.period_closed", "webhook.test",
)  # fmt: skip
STATES = (
    "scheduled", "available", "dispatched", "running", "retryable", "completed", "discarded",
    "cancelled",
)  # fmt: skip
FIXED = frozenset((*KINDS, *QUEUES, *MODELS, *EVENTS, *STATES))


@dataclass(frozen=True, slots=True)
class Shown:
    """JSON as a page shows it; in a template it is markup, and whole lines of a `pre`.

    `hidden` is how many values are not shown.
    """

    markup: Markup
    hidden: int

    def __html__(self) -> str:
        return str(self.markup)

    def __str__(self) -> str:
        return str(self.markup)


def redact(value: Any) -> Shown:
    """All that is no text, and the texts that say nothing of anybody."""
    writer = Writer()
    parts = list(writer.write(value, depth=0))
    return Shown(Markup("").join(parts), writer.hidden)


def reveal(value: Any) -> str:
    """All of it, up to REVEALED_CHARS_MAX; for who may see it, and is noted to have."""
    try:
        text = json.dumps(value, indent=len(INDENT), ensure_ascii=False, default=str)
    except RecursionError:
        # Without line breaks it is written by C, which goes deeper.
        text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) <= REVEALED_CHARS_MAX:
        return text
    return f"{text[:REVEALED_CHARS_MAX]}\n… cut, {len(text):,} characters in all"


class Writer:
    """Writes one value; counts what it writes and what it hides."""

    def __init__(self) -> None:
        self.hidden = 0
        self._left = VALUES_MAX

    def write(self, value: Any, *, depth: int, secret: bool = False) -> Iterator[Markup]:
        self._left -= 1
        if secret and value not in (None, "", {}, []):
            yield self._hide(size_of(value))
        elif isinstance(value, Mapping):
            yield from self._write_members(value, depth)
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            yield from self._write_items(value, depth)
        elif is_plain(value):
            yield escape(json.dumps(value, default=str))
        else:
            yield self._hide(size_of(value))

    def _write_members(self, members: Mapping[Any, Any], depth: int) -> Iterator[Markup]:
        if not members:
            yield Markup("{}")
        elif depth >= DEPTH_MAX or self._left <= 0:
            yield self._hide(size_of(members))
        else:
            yield Markup("{\n")
            for number, (name, value) in enumerate(members.items()):
                if number >= MEMBERS_MAX or self._left <= 0:
                    yield self._skip(len(members) - number, depth)
                    break
                yield FIRST if number == 0 else NEXT
                yield FIRST + INDENT * (depth + 1)
                yield self._name(str(name))
                yield Markup(": ")
                yield from self.write(value, depth=depth + 1, secret=is_secret(str(name)))
            yield Markup("\n") + INDENT * depth + Markup("}")

    def _write_items(self, items: Sequence[Any], depth: int) -> Iterator[Markup]:
        if not items:
            yield Markup("[]")
        elif depth >= DEPTH_MAX or self._left <= 0:
            yield self._hide(size_of(items))
        else:
            yield Markup("[\n")
            for number, value in enumerate(items):
                if number >= MEMBERS_MAX or self._left <= 0:
                    yield self._skip(len(items) - number, depth)
                    break
                yield FIRST if number == 0 else NEXT
                yield FIRST + INDENT * (depth + 1)
                yield from self.write(value, depth=depth + 1)
            yield Markup("\n") + INDENT * depth + Markup("]")

    def _name(self, name: str) -> Markup:
        """A name may be a visitor's text, too: a form's own field."""
        if NAME.fullmatch(name):
            return escape(f'"{name}"')
        return self._hide(f"a name of {len(name):,} chars")

    def _skip(self, number: int, depth: int) -> Markup:
        self.hidden += number
        return Markup("\n") + INDENT * (depth + 1) + Markup("… {} more").format(f"{number:,}")

    def _hide(self, size: str) -> Markup:
        self.hidden += 1
        return Markup('<span class="red">redacted, {}</span>').format(size)


def is_plain(value: object) -> bool:
    """Whether a single value says nothing that could be anybody's secret."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return abs(value) <= NUMBER_MAX
    if isinstance(value, float):
        return len(repr(value)) <= 2 * DIGITS_MAX
    if isinstance(value, str):
        return bool(value in FIXED or UUID.fullmatch(value) or TIME.fullmatch(value))
    return False


def is_secret(name: str) -> bool:
    words = [word.lower() for word in WORD.findall(name[:200])]
    return not SECRET_WORDS.isdisjoint(words) or name.lower() in SECRET_WORDS


def size_of(value: Any) -> str:
    if isinstance(value, str):
        return "email" if EMAIL.fullmatch(value[:400]) else f"{len(value):,} chars"
    if isinstance(value, Mapping):
        return f"an object of {len(value):,}"
    if isinstance(value, Sequence):
        return f"a list of {len(value):,}"
    return "a number" if isinstance(value, int | float) else "a value"
