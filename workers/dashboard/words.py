"""How numbers, times and spans read on pages: short, and with the exact value at hand."""

import math
from datetime import UTC, datetime
from decimal import Decimal

from markupsafe import Markup

from db.times import EARLIEST, LATEST
from pipelines.counting import noun, plural
from workers.dashboard import masks
from workers.dashboard.filtering import quote_name
from workers.spans import span

SIZES: tuple[tuple[float, str], ...] = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
NOTHING = "\u2013"
SMALLEST_USD = 0.0001
# As the database calls them.
INFINITE = {EARLIEST: "-infinity", LATEST: "infinity"}


def duration(seconds: float | None) -> str:
    return NOTHING if seconds is None or math.isnan(seconds) else span(seconds)


def count(number: float | None) -> str:
    return NOTHING if number is None else f"{number:,.0f}"


def capped(number: int, most: int) -> str:
    """A count that stopped at `most` says so: 10,000+."""
    return f"{most:,}+" if number > most else f"{number:,}"


def size(number: float | None) -> str:
    """Bytes: 212 MB."""
    if number is None:
        return NOTHING
    for unit, name in SIZES:
        if abs(number) >= unit:
            value = number / unit
            return f"{value:.1f} {name}" if abs(value) < 9.95 else f"{value:,.0f} {name}"
    return f"{number:.0f} B"


def money(amount: Decimal | float | None) -> str:
    """US dollars; small amounts keep four decimals, and what is something is never nothing."""
    if amount is None:
        return NOTHING
    sign, size = ("-" if amount < 0 else ""), abs(float(amount))
    if 0 < size < SMALLEST_USD / 2:
        return f"{sign}<${SMALLEST_USD}"
    return f"{sign}${size:,.4f}" if 0 < size < 1 else f"{sign}${size:,.2f}"


def percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share * 100:.3g}%"


def moment(at: datetime | None, *, seconds: bool = True) -> Markup | str:
    """A time element in UTC: 14:41:31 today, with the day before that."""
    if at is None:
        return NOTHING
    if at in INFINITE:
        return INFINITE[at]
    utc = at.astimezone(UTC)
    shape = "%H:%M:%S" if seconds else "%H:%M"
    if utc.date() != datetime.now(UTC).date():
        shape = f"%d %b {shape}" if utc.year == datetime.now(UTC).year else f"%d %b %Y {shape}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(timespec="milliseconds"), f"{utc:%Y-%m-%d %H:%M:%S} UTC", f"{utc:{shape}}"
    )


def ago(at: datetime | None) -> Markup | str:
    """How long ago, or in how long."""
    if at is None:
        return NOTHING
    if at in INFINITE:
        return INFINITE[at]
    seconds = (datetime.now(UTC) - at).total_seconds()
    text = f"{duration(seconds)} ago" if seconds >= 0 else f"in {duration(-seconds)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.astimezone(UTC).isoformat(timespec="milliseconds"),
        f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        text,
    )


FILTERS = {
    "duration": duration,
    "count": count,
    "capped": capped,
    "plural": plural,
    "noun": noun,
    "size": size,
    "money": money,
    "percent": percent,
    "moment": moment,
    "ago": ago,
    "cut": masks.cut,
    "name": masks.name,
    "harmless": masks.url,
    "masked": masks.address,
    "unaddressed": masks.addresses,
    "quoted": quote_name,
}
