"""What lists read from an address: ids, places in a list, texts to look for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import UUID

from starlette.requests import Request

from db.patterns import containing
from workers.dashboard.forms import Refused
from workers.dashboard.site import address
from workers.dashboard.words import INFINITE

TEXT_CHARS_MAX = 200

Place = tuple[datetime, UUID]
Row = TypeVar("Row")
FURTHEST = {name: at for at, name in INFINITE.items()}


def path_id(request: Request, name: str, what: str) -> UUID:
    """Raises Refused where the address holds no id."""
    try:
        return UUID(request.path_params[name])
    except ValueError:
        raise Refused(f"There is no such {what}.", status=404) from None


def filled(fields: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Those of these fields that hold more than blanks, without the blanks around."""
    return {name: fields[name].strip() for name in names if fields.get(name, "").strip()}


def read_id(fields: Mapping[str, str], name: str) -> UUID | None:
    """Raises Refused for what is no id."""
    text = fields.get(name, "").strip()
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise Refused(f"{name} must be an id, not {text[:40]!r}.") from None


def read_text(fields: Mapping[str, str], name: str) -> str | None:
    """Raises Refused for what is longer than TEXT_CHARS_MAX."""
    text = fields.get(name, "").strip()
    if len(text) > TEXT_CHARS_MAX:
        raise Refused(f"{name} has {len(text)} characters, at most {TEXT_CHARS_MAX} fit.")
    return text or None


def read_choice(fields: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    """Raises Refused for anything else."""
    chosen = fields.get(name, "")
    if chosen and chosen not in choices:
        raise Refused(f"{name} must be one of {', '.join(choices)}.")
    return chosen or None


def read_place(fields: Mapping[str, str], name: str = "before") -> Place | None:
    """Where the next page of a list begins; see `place_of`."""
    text = fields.get(name, "")
    if not text:
        return None
    at, _, id = text.partition("_")
    try:
        return FURTHEST.get(at) or read_time(at), UUID(id)
    except ValueError:
        raise Refused(f"{name} is no place in this list.") from None


def read_time(text: str) -> datetime:
    """Raises ValueError, also for a time without a zone, or out of what Postgres knows."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None or not 1 < at.year < 9999:
        raise ValueError(text)
    # A zone's offset of seconds is nothing that Postgres reads.
    if (at.utcoffset() or timedelta()).total_seconds() % 60:
        raise ValueError(text)
    return at


def place_of(at: datetime, id: UUID) -> str:
    return f"{INFINITE.get(at) or at.isoformat()}_{id}"


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows of a list, and where it goes on: nowhere where that is empty."""

    rows: Sequence[Row]
    onward: str


def turn(
    found: Sequence[Row],
    place: Callable[[Row], str],
    *,
    rows_max: int,
    path: str,
    fields: Mapping[str, Any],
    name: str = "before",
) -> Page[Row]:
    """`found` may hold one row more than a page: then the list goes on behind the last."""
    rows = found[:rows_max]
    if len(found) <= rows_max:
        return Page(rows, "")
    return Page(rows, address(path, fields, **{name: place(rows[-1])}))


def pattern_of(text: str | None) -> str | None:
    """What ILIKE finds that text by, wherever it stands."""
    return None if text is None else containing(text)
