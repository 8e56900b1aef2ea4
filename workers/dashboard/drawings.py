"""What only these pages draw: last deliveries, deliveries by the hour, bars of tenants. Scales,
labels and times are those of all charts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from markupsafe import Markup

from workers.dashboard import masks
from workers.dashboard.charts import BAR_PX_MIN, UNDER, WHOLE_TOP_MIN, say_empty, times
from workers.dashboard.scales import Scale, Tick, clean, linear, short
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
        width=STRIP_WIDTH, label=clean(label), mid=MID, up="".join(up), down="".join(down)
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
    most = max((max(hour.passed, hour.failed) for hour in hours), default=0)
    scale = linear(most, unit="deliveries", least=WHOLE_TOP_MIN)
    height = round(TOP + 2 * HALF + UNDER)
    heights = (TOP, TOP + HALF, TOP + 2 * HALF)
    texts = zip(heights, (scale.ticks[-1].text, "0", scale.ticks[-1].text), strict=True)
    return Markup(
        '<div class="chart"><svg class="fl" height="{height}" aria-hidden="true">{texts}</svg>'
        '<svg class="fl" height="{height}" role="img" aria-label="{label}">{rules}'
        '<svg viewBox="0 0 {count} {height}" preserveAspectRatio="none" width="100%"'
        ' height="{height}"><path class="p3" d="{up}"/><path class="fb" d="{down}"/></svg>'
        "{empty}{times}</svg></div>"
    ).format(
        height=height,
        texts=Markup().join(
            Markup('<text class="e" x="40" y="{}">{}</text>').format(short(y + 4), text)
            for y, text in texts
        ),
        label=clean(f"{label}, up to {scale.ticks[-1].text}"),
        rules=Markup().join(
            Markup('<line class="{0}" x1="0" x2="100%" y1="{1}" y2="{1}"/>').format(
                "ax" if y == heights[1] else "gr", short(y)
            )
            for y in heights
        ),
        count=max(1, len(hours)),
        up=bars_of(hours, scale, +1),
        down=bars_of(hours, scale, -1),
        empty="" if most else say_empty("nothing was sent in this time", height),
        times=times([hour.at for hour in hours], height=height, end="now", are_points=False),
    )


def bars_of(hours: Sequence[Hour], scale: Scale, sign: int) -> str:
    path = []
    for place, hour in enumerate(hours):
        number = hour.passed if sign > 0 else hour.failed
        if number:
            # One of thousands is still there to be seen.
            tall = max(BAR_PX_MIN, HALF * scale.share(number))
            zero = short(TOP + HALF)
            path.append(f"M{short(place + 0.1)} {zero}v{short(-sign * tall)}h0.8V{zero}z")
    return "".join(path)


@dataclass(frozen=True, slots=True)
class Bar:
    """`over` is what lies beyond a cap of its own."""

    name: str
    usd: Decimal
    note: str = ""
    is_over: bool = False


ROW = 26
# Of the width beside the names, what bars may fill; the amounts stand behind them.
FULL = 74.0
NAME_CHARS_MAX = 22


def money_bars(bars: Sequence[Bar], *, label: str) -> Markup:
    """Amounts by name, each printed beside its bar; one that is over its cap is hatched."""
    scale = linear(float(max((bar.usd for bar in bars), default=Decimal(0))), unit="$")
    foot = len(bars) * ROW + 7
    return Markup(
        '<div class="chart named"><svg class="fl" height="{height}" aria-hidden="true">{names}'
        '</svg><svg class="fl" height="{height}" role="img" aria-label="{label}">{rules}{rows}'
        "</svg></div>"
    ).format(
        height=foot + 18,
        names=Markup().join(name_of(place, bar) for place, bar in enumerate(bars)),
        label=clean(label),
        rules=Markup().join(rule_of(tick, foot) for tick in scale.ticks),
        rows=Markup().join(row_of(place, bar, scale) for place, bar in enumerate(bars)),
    )


def name_of(place: int, bar: Bar) -> Markup:
    return Markup('<text x="0" y="{}">{}</text>').format(
        place * ROW + 20, masks.cut(bar.name, NAME_CHARS_MAX)
    )


def rule_of(tick: Tick, foot: int) -> Markup:
    x = short(FULL * tick.share)
    return Markup(
        '<line class="{css}" x1="{x}%" x2="{x}%" y1="2" y2="{foot}"/>'
        '<text class="{anchor}" x="{x}%" y="{y}">{text}</text>'
    ).format(
        css="gr" if tick.share else "ax",
        x=x,
        foot=foot,
        anchor="m" if tick.share else "",
        y=foot + 14,
        text=tick.text,
    )


def row_of(place: int, bar: Bar, scale: Scale) -> Markup:
    width = max(0.3, FULL * scale.share(float(bar.usd)))
    return Markup(
        '<rect class="{css}" y="{y}" width="{width}%" height="14"/>'
        '<text class="{text}" x="{text_x}%" y="{text_y}">{told}</text>'
    ).format(
        css="hw" if bar.is_over else "p3",
        y=place * ROW + 9,
        width=short(width),
        text="w" if bar.is_over else "halo",
        text_x=short(width + 1.5),
        text_y=place * ROW + 20,
        told=clean(f"{money(bar.usd)} {bar.note}".strip()),
    )
