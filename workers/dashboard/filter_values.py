"""Values of filters: what each may be, and what is meant by it. Pure."""

import re
from datetime import UTC, datetime, timedelta

TEXT_CHARS_MAX = 300
SPAN_MAX = timedelta(days=3650)
# One less than the largest: more than it is one more.
BIGINT_MAX = 2**63 - 2
INT_MAX = 2**31 - 1
YEARS = range(2000, 2200)

STATES = (
    "scheduled",
    "available",
    "dispatched",
    "running",
    "retryable",
    "completed",
    "discarded",
    "cancelled",
)
UUID_TEXT = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SPAN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)", re.ASCII)
NUMBER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?",
    re.ASCII,
)
UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class BadValue(ValueError):
    """What is wrong with a value, in words."""


def is_uuid(value: str) -> bool:
    return UUID_TEXT.fullmatch(value) is not None


def read_uuid(value: str) -> str:
    if not is_uuid(value):
        raise BadValue("an id like 123e4567-e89b-12d3-a456-426614174000 is needed")
    return value.lower()


def read_text(value: str) -> str:
    if len(value) > TEXT_CHARS_MAX:
        raise BadValue(f"{len(value)} characters, at most {TEXT_CHARS_MAX} are looked for")
    return value


def read_number(value: str, field: str) -> str:
    least = {"id": 0, "attempt": 0}.get(field, -INT_MAX)
    most = BIGINT_MAX if field == "id" else INT_MAX
    if not NUMBER.fullmatch(value) or not least <= int(value) <= most:
        raise BadValue(f"a whole number from {least} to {most} is needed, not {value[:40]!r}")
    return str(int(value))


def read_span(value: str) -> str:
    span(value)
    return value


def span(value: str) -> timedelta:
    """Raises BadValue for anything but a number with its unit: 10s, 5m, 2h, 3d."""
    found = SPAN.fullmatch(value)
    if found is None:
        raise BadValue(f"a span like 10s, 5m, 2h or 3d is needed, not {value[:40]!r}")
    length = timedelta(**{UNITS[found[2]]: float(found[1])})
    if length > SPAN_MAX:
        raise BadValue(f"{value} is more than {SPAN_MAX.days}d")
    return length


def read_time(value: str, *, day_only: bool) -> str:
    """A day, a moment in UTC, or how long ago; one spelling for each moment."""
    if DAY.fullmatch(value):
        day(value)
        return value
    if day_only:
        raise BadValue("with a colon it takes a day like 2026-11-23; use > and < for moments")
    if SPAN.fullmatch(value):
        return read_span(value)
    return spell(moment(value))


def spell(at: datetime) -> str:
    if at.microsecond:
        return at.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return at.strftime("%Y-%m-%dT%H:%M:%S" if at.second else "%Y-%m-%dT%H:%M")


def moment(value: str) -> datetime:
    """A day begins at midnight; what names no zone is UTC."""
    if DAY.fullmatch(value):
        return day(value)
    problem = f"a time like 2026-11-23T10:00 (UTC) or 1h is needed, not {value[:40]!r}"
    if not MOMENT.fullmatch(value):
        raise BadValue(problem)
    try:
        at = datetime.fromisoformat(value)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadValue(problem) from None
    return within_years(at)


def day(value: str) -> datetime:
    try:
        return within_years(datetime.fromisoformat(value).replace(tzinfo=UTC))
    except ValueError as error:
        raise BadValue(str(error)) from None


def within_years(at: datetime) -> datetime:
    if at.year not in YEARS:
        raise BadValue(f"years from {YEARS[0]} to {YEARS[-1]} are understood, not {at.year}")
    return at
