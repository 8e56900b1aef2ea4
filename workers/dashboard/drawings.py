"""What only these pages draw: last deliveries, deliveries by the hour, bars of tenants. Pure SVG,
its geometry in attributes; text is never stretched.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from markupsafe import Markup

from workers.dashboard.words import money

STRIP_BARS = 60
STRIP_STEP = 4.2
STRIP_WIDTH = 252
MID = 18.5
BAR_MIN, BAR_MAX = 4.0, 14.0
SLOWEST_MS = 15_000.0
HANGING = Markup(
    '<svg class="strip" width="{width}" height="37" viewBox="0 0 {width} 37" role="img"'
    ' aria-label="{label}"><path class="ax" d="M0 {mid}H{width}"/><path class="u" d="{up}"/>'
    '<path class="fb" d="{down}"/></svg>'
)
FAILED = ("failed", "blocked", "retrying")


def strip(statuses: Sequence[str], durations_ms: Sequence[int], *, label: str) -> Markup:
    """The last deliveries, oldest first: passed above, failed below, taller where they took long.

    What waits or was cancelled leaves a gap.
    """
    up, down = [], []
    first = STRIP_BARS - len(statuses)
    for place, (status, ms) in enumerate(zip(statuses, durations_ms, strict=True), first):
        x, tall = round(place * STRIP_STEP, 1), bar_height(ms)
        if status == "delivered":
            up.append(f"M{x} {MID - 1.5}v{-tall}h3V{MID - 1.5}z")
        elif status in FAILED:
            down.append(f"M{x} {MID + 1.5}v{tall}h3V{MID + 1.5}z")
    return HANGING.format(
        width=STRIP_WIDTH, label=label, mid=MID, up="".join(up), down="".join(down)
    )


def bar_height(ms: int) -> float:
    """By the logarithm of the time: 10 ms is short, 15 s is all there is."""
    share = math.log10(max(10, min(ms, SLOWEST_MS)) / 10) / math.log10(SLOWEST_MS / 10)
    return round(BAR_MIN + share * (BAR_MAX - BAR_MIN), 1)


@dataclass(frozen=True, slots=True)
class Hour:
    at: datetime
    passed: int
    failed: int


# Above and below the line both have this height; the rest is for the times.
HALF = 62.0
TOP = 8.0


def above_below(hours: Sequence[Hour], *, label: str) -> Markup:
    """Passed above the line, failed below it, both to one scale."""
    most = round_top(max((max(hour.passed, hour.failed) for hour in hours), default=0))
    zero = TOP + HALF
    bottom = zero + HALF
    bars = [bars_of(hours, most, zero, +1), bars_of(hours, most, zero, -1)]
    first, last = hours[0].at.astimezone(UTC), hours[-1].at.astimezone(UTC)
    return Markup(
        '<div class="chart"><svg class="fl" height="{height}" aria-hidden="true">'
        '<text class="e" x="40" y="{top_y}">{most}</text>'
        '<text class="e" x="40" y="{zero_y}">0</text>'
        '<text class="e" x="40" y="{bottom_y}">{most}</text></svg>'
        '<svg class="fl" height="{height}" role="img" aria-label="{label}">'
        '<line class="gr" x1="0" x2="100%" y1="{top}" y2="{top}"/>'
        '<line class="gr" x1="0" x2="100%" y1="{bottom}" y2="{bottom}"/>'
        '<svg viewBox="0 0 {count} {height}" preserveAspectRatio="none" width="100%"'
        ' height="{height}"><path class="p3" d="{up}"/><path class="fb" d="{down}"/></svg>'
        '<line class="ax" x1="0" x2="100%" y1="{zero}" y2="{zero}"/>'
        '<text x="0" y="{text_y}">{first}</text>'
        '<text class="e" x="100%" y="{text_y}">{last}</text></svg></div>'
    ).format(
        height=f"{bottom + 18:g}",
        top_y=f"{TOP + 4:g}",
        zero_y=f"{zero + 4:g}",
        bottom_y=f"{bottom + 4:g}",
        text_y=f"{bottom + 15:g}",
        most=f"{most:,}",
        label=label,
        top=TOP,
        zero=zero,
        bottom=bottom,
        count=len(hours),
        up=bars[0],
        down=bars[1],
        first=f"{first:%d %b %H:%M}",
        last=f"{last:%H:%M}, this hour",
    )


def bars_of(hours: Sequence[Hour], most: int, zero: float, sign: int) -> str:
    path = []
    for place, hour in enumerate(hours):
        number = hour.passed if sign > 0 else hour.failed
        if number:
            # One of thousands is still there to be seen.
            tall = max(1.5, HALF * number / most)
            path.append(f"M{place + 0.1:g} {zero:g}v{-sign * tall:.1f}h0.8V{zero:g}z")
    return "".join(path)


def round_top(number: int) -> int:
    """The next 1, 2 or 5 with noughts; 1 for nothing."""
    size = 1
    while True:
        for step in (1, 2, 5):
            if step * size >= number:
                return step * size
        size *= 10


@dataclass(frozen=True, slots=True)
class Bar:
    """`over` is what lies beyond a cap of its own."""

    name: str
    usd: Decimal
    note: str = ""
    is_over: bool = False


ROW = 26


def money_bars(bars: Sequence[Bar], *, label: str) -> Markup:
    """Amounts by name, each printed beside its bar; one that is over its cap is hatched."""
    most = max((bar.usd for bar in bars), default=Decimal(0)) or Decimal(1)
    rows = Markup("").join(
        row_of(place, bar, float(bar.usd / most)) for place, bar in enumerate(bars)
    )
    foot = len(bars) * ROW + 7
    return Markup(
        '<svg class="fl" height="{height}" role="img" aria-label="{label}">{rows}'
        '<line class="ax" x1="30%" x2="78%" y1="{foot}" y2="{foot}"/>'
        '<text x="30%" y="{text_y}">0</text>'
        '<text class="e" x="78%" y="{text_y}">{most}</text></svg>'
    ).format(
        height=foot + 18,
        label=label,
        rows=rows,
        foot=foot + 0.5,
        text_y=foot + 14,
        most=money(max((bar.usd for bar in bars), default=Decimal(0))),
    )


def row_of(place: int, bar: Bar, share: float) -> Markup:
    width = max(0.3, 48 * share)
    note = f" {bar.note}" if bar.note else ""
    return Markup(
        '<text x="0" y="{text_y}">{name}</text>'
        '<rect class="{css}" x="30%" y="{y}" width="{width}%" height="14"/>'
        '<text class="{text}" x="{text_x}%" y="{text_y}">{amount}{note}</text>'
    ).format(
        text_y=place * ROW + 20,
        y=place * ROW + 9,
        name=bar.name if len(bar.name) <= 24 else f"{bar.name[:23]}\u2026",
        css="hw" if bar.is_over else "p3",
        width=f"{width:.2f}",
        text="w" if bar.is_over else "halo",
        text_x=f"{30 + width + 1:.2f}",
        amount=money(bar.usd),
        note=note,
    )
