"""What a template's data may hold. A reader takes a JSON value and gives what is printed.

Data comes from customers, visitors and other people's programs: it is text to be shown, never
markup, and whatever is too long is cut.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

READ_CHARS_MAX = 20_000
LINE_CHARS_MAX = 200
CELL_CHARS_MAX = 100
PARAGRAPHS_MAX = 40
PARAGRAPHS_CHARS_MAX = 8_000
ROWS_MAX = 40
URL_CHARS_MAX = 2_000
NUMBER_MAX = Decimal(10) ** 12
NUMBER_DIGITS_MAX = 30
# Seconds since 1970 reach this in the year 5138; what is larger counts milliseconds.
EPOCH_S_MAX = 10**11
URL_SCHEMES = ("http", "https", "mailto")
ZONE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+){0,2}")
# They turn the reading direction of everything behind them, ours included.
BIDI_CONTROLS = frozenset(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
# Joiners and signs that belong to what follows or went before: a cut text does not end in one.
JOINERS = "\u200d\ufe0e\ufe0f"


class WrongValue(ValueError):
    """A value cannot be printed; the message goes behind the field's name."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a mail is read: what relative links lead to, and the reader's clock."""

    app_url: str = ""
    zone: tzinfo = UTC


Reader = Callable[[Any, Setting], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a template's data. `also` lists other names that it may come under."""

    name: str
    read: Reader
    about: str
    required: bool = False
    also: tuple[str, ...] = ()

    def find(self, data: Mapping[str, Any]) -> Any:
        """None: the data has nothing to say here. Empty text and lists say nothing."""
        for name in (self.name, *self.also):
            if not is_blank(data.get(name)):
                return data[name]
        return None


def is_blank(value: Any) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def line(value: Any, setting: Setting) -> str:
    """One line of text."""
    return cut(flatten(plain(value)), LINE_CHARS_MAX)


def paragraphs(value: Any, setting: Setting) -> tuple[str, ...]:
    """Text with empty lines between paragraphs, or a list of them."""
    found: list[str] = []
    left = PARAGRAPHS_CHARS_MAX
    for part in split_paragraphs(value if isinstance(value, list) else [value]):
        if left <= 0 or len(found) == PARAGRAPHS_MAX:
            return (*found, "…")
        found.append(cut(part, left))
        left -= len(part)
    return tuple(found)


def split_paragraphs(texts: list[Any]) -> Iterator[str]:
    for text in texts:
        parts = re.split(r"\n\s*\n", plain(text).replace("\r\n", "\n"))
        yield from filter(None, map(tidy, parts))


def number(value: Any, setting: Setting) -> Decimal:
    found = decimal(value)
    if abs(found) > NUMBER_MAX:
        raise WrongValue(f"must be a number of at most {NUMBER_MAX:,f}")
    return found


def count(value: Any, setting: Setting) -> Decimal:
    found = number(value, setting)
    if found < 0 or found != found.to_integral_value():
        raise WrongValue(f"must be a whole number that is not negative, not {found:f}")
    return found.quantize(Decimal(1))


def day(value: Any, setting: Setting) -> date | str:
    found = moment(value, setting)
    return found.date() if isinstance(found, datetime) else found


def moment(value: Any, setting: Setting) -> date | str:
    """ISO 8601 or seconds (or milliseconds) since 1970. Other text is printed as it came."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return from_epoch(decimal(value), setting)
    text = line(value, setting)
    try:
        if len(text) == len("2025-02-06"):
            return date.fromisoformat(text)
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(setting.zone)
    except (ValueError, OverflowError):
        return text


def from_epoch(stamp: Decimal, setting: Setting) -> datetime:
    seconds = stamp / 1000 if abs(stamp) > EPOCH_S_MAX else stamp
    try:
        return datetime.fromtimestamp(float(seconds), setting.zone)
    except (ValueError, OverflowError, OSError):
        raise WrongValue("must be a date such as 2025-02-06T14:05:00Z") from None


def url(value: Any, setting: Setting) -> str | None:
    """A link, or None where nobody should follow it. A path belongs to the app."""
    text = plain(value).strip()
    if len(text) > URL_CHARS_MAX or re.search(r"[\x00-\x20\x7f\\<>\"]", text):
        return None
    if text.startswith("/") and not text.startswith("//"):
        return setting.app_url.rstrip("/") + text if setting.app_url else None
    try:
        parts = urlsplit(text)
        is_whole = bool(parts.path if parts.scheme == "mailto" else parts.hostname)
    except ValueError:
        return None
    return text if parts.scheme in URL_SCHEMES and is_whole else None


def currency(value: Any, setting: Setting) -> str:
    code = line(value, setting).upper()
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise WrongValue("must be a currency's three letters such as USD")
    return code


def zone(value: Any, setting: Setting) -> tzinfo:
    """The reader's time zone; one that nobody knows is UTC."""
    name = line(value, setting)
    try:
        return ZoneInfo(name) if ZONE_NAME.fullmatch(name) else UTC
    except (KeyError, ValueError, OSError):
        return UTC


def rows(*columns: Field) -> Reader:
    """A list of objects with these fields; what is not needed in a row may be missing."""

    def read(value: Any, setting: Setting) -> tuple[dict[str, Any], ...]:
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise WrongValue(f"must be a list of objects, not {named(value)}")
        return tuple(read_row(columns, row, setting) for row in value[:ROWS_MAX])

    return read


def read_row(columns: Sequence[Field], row: dict[str, Any], setting: Setting) -> dict[str, Any]:
    return {column.name: read_cell(column, row, setting) for column in columns}


def read_cell(column: Field, row: dict[str, Any], setting: Setting) -> Any:
    value = column.find(row)
    if value is None:
        if column.required:
            raise WrongValue(f"needs {column.name} in each of its objects")
        return None
    try:
        found = column.read(value, setting)
    except WrongValue as wrong:
        raise WrongValue(f"has a {column.name} that {wrong}") from None
    return cut(found, CELL_CHARS_MAX) if isinstance(found, str) else found


def plain(value: Any) -> str:
    """A scalar as text, without what cannot be printed; line breaks stay."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal, datetime, date)):
        raise WrongValue(f"must be text, not {named(value)}")
    text = written(value)[:READ_CHARS_MAX]
    return unicodedata.normalize("NFC", "".join(map(printable, text)))


def written(value: object) -> str:
    try:
        return str(value)
    except ValueError:
        # Python refuses to write integers of more than 4,300 digits.
        raise WrongValue("is too large a number") from None


def printable(char: str) -> str:
    """Control characters become a space, what no mail can hold nothing."""
    if char in "\r\n" or char.isprintable():
        return "" if char in BIDI_CONTROLS else char
    kind = unicodedata.category(char)
    if kind == "Cs" or char in BIDI_CONTROLS:
        return ""
    return " " if kind == "Cc" else char


def flatten(text: str) -> str:
    """All white space becomes one space: nothing ends a header or a sentence early."""
    return " ".join(text.split())


def tidy(paragraph: str) -> str:
    """Line breaks that somebody wrote stay; other white space becomes one space."""
    return "\n".join(filter(None, map(flatten, paragraph.splitlines())))


def cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1].rstrip(JOINERS + " ") + "…"


def decimal(value: Any) -> Decimal:
    """Through its shortest text, so that 19.99 is 19.99."""
    is_number = isinstance(value, (int, float, str, Decimal)) and not isinstance(value, bool)
    if is_number:
        text = written(value).strip()
        try:
            found = Decimal(text) if len(text) <= NUMBER_DIGITS_MAX else None
        except InvalidOperation:
            found = None
        if found is not None and found.is_finite() and abs(found.adjusted()) < NUMBER_DIGITS_MAX:
            return found
    told = f"of at most {NUMBER_MAX:,f}" if is_number else f"and not {named(value)}"
    raise WrongValue(f"must be a number {told}")


def named(value: Any) -> str:
    names = {list: "a list", dict: "an object", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), f"a {type(value).__name__}")
