"""Charts as inline SVG: pure functions from values to markup.

Every chart has a labelled floor and top, its unit, both ends of time, and a label that says what
it shows. Geometry lies in attributes; places of text are percentages and only paths are stretched.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from workers.dashboard.scales import (
    Scale,
    Shape,
    check_values,
    clean,
    clock,
    figure,
    linear,
    logarithmic,
    round_top,
    short,
    time_labels,
)

# Whole things are counted up to at least so many: one failure must not fill the chart.
WHOLE_TOP_MIN = 10.0
CLASSES = re.compile(r"[a-z][a-z0-9]{0,9}( [a-z][a-z0-9]{0,9}){0,3}")
SPARK_HEIGHT, SPARK_LEFT, SPARK_TOP, SPARK_FLOOR = 44, 34.0, 7.0, 32.0
COLUMNS_HEIGHT, LINES_HEIGHT = 150, 206
PLOT_TOP, UNDER = 12.0, 20.0
# A part that is there can be seen, however small.
BAR_PX_MIN = 1.5
PART_MIN, PART_GAP = 0.6, 0.3
LABEL_APART_X, LABEL_APART_Y = 0.16, 13.0
LABEL_PLACES = (0.6, 0.22, 0.8, 0.4, 0.1, 0.7, 0.3, 0.5, 1.0)
LOUD_PLACES = (1.0, 0.92, 0.84)
# From a line to the text above it or below it, at first or where that is in the way.
LABEL_SHIFTS = (-7.0, 15.0, -19.0, 27.0)
NOTHING = "nothing in this time"


@dataclass(frozen=True, slots=True)
class Series:
    """Named values, one for each time; None where nothing is known.

    `css` are classes of charts.css: fills (p1-p4, dn, fb, hw, hb) for columns; for lines "",
    "a", "b", "w" or "d".
    """

    name: str
    values: Sequence[float | None]
    css: str = "p3"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    value: float
    css: str = "p3"


def spark(
    values: Sequence[float | None],
    *,
    label: str,
    css: str = "p3",
    top: float | None = None,
    width: int = 158,
    since: str = "",
) -> Markup:
    """Small columns over a floor of 0; `since` names the left end ("-1 h"), the right one is now.

    `top` is the axis' top at least: give the same to rows that shall be compared.
    """
    known = check_values(values)
    highest = spark_top(known, top)
    last = next((value for value in reversed(known) if value is not None), None)
    return Markup(
        '<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img"'
        ' aria-label="{label}"><path class="gr" d="M34 7H{width}"/>'
        '<text class="e" x="30" y="11">{top}</text><text class="e" x="30" y="33">0</text>'
        '<path class="{css}" d="{bars}"/><path class="ax" d="M34 32.5H{width}"/>{ends}</svg>'
    ).format(
        width=width,
        height=SPARK_HEIGHT,
        label=clean(f"{label}, {spoken(last)}, top of axis {figure(highest)}"),
        top=figure(highest),
        css=check_css(css),
        bars=spark_bars(known, highest, width - SPARK_LEFT),
        ends=spark_ends(since, width),
    )


def spoken(last: float | None) -> str:
    return "now unknown" if last is None else f"now {figure(last)}"


def spark_top(values: Sequence[float | None], top: float | None) -> float:
    most = max((value for value in values if value is not None), default=0.0)
    asked = check_values([top])[0] or 0.0
    return round_top(max(most, asked), least=least_top(values))


def spark_bars(values: Sequence[float | None], top: float, width: float) -> str:
    step = width / max(1, len(values))
    wide, path = short(step * 0.75), []
    for place, value in enumerate(values):
        if value:
            tall = max(BAR_PX_MIN, (SPARK_FLOOR - SPARK_TOP) * (value / top))
            left = short(SPARK_LEFT + step * (place + 0.12))
            path.append(f"M{left} 32v-{short(tall)}h{wide}V32z")
    return "".join(path)


def spark_ends(since: str, width: int) -> Markup:
    if not since:
        return Markup()
    return Markup(
        '<text x="34" y="43">{since}</text><text class="e" x="{width}" y="43">now</text>'
    ).format(since=clean(since), width=width)


def columns(
    series: Sequence[Series],
    *,
    at: Sequence[datetime],
    unit: str,
    label: str,
    end: str = "",
    top: float | None = None,
    empty: str = NOTHING,
) -> Markup:
    """Stacked columns, the first series at the floor; `at` is when each column begins.

    `end` names the right end ("now"); without it the last time is printed. `empty` is said where
    there is nothing to draw.
    """
    stacks = [check_series(each, at) for each in series]
    sums = [sum(stack[place] or 0.0 for stack in stacks) for place in range(len(at))]
    known = [value for stack in stacks for value in stack]
    scale = linear(min(max(sums, default=0.0), 1e308), unit=unit, least=least_top(known), top=top)
    height = COLUMNS_HEIGHT
    paths = stacked(series, stacks, scale, height)
    plot = Markup(
        '<svg viewBox="0 0 {count} {height}" preserveAspectRatio="none" width="100%"'
        ' height="{height}">{paths}</svg>'
    ).format(count=max(1, len(at)), height=height, paths=paths)
    if not any(sums):
        plot += say_empty(empty, height)
    return framed(scale, height, plot, at=at, end=end, label=label, unit=unit)


def stacked(
    series: Sequence[Series],
    stacks: Sequence[Sequence[float | None]],
    scale: Scale,
    height: int,
) -> Markup:
    floors = [0.0] * (len(stacks[0]) if stacks else 0)
    paths = Markup()
    for each, stack in zip(series, stacks, strict=True):
        path = []
        for place, value in enumerate(stack):
            if value:
                low, floors[place] = floors[place], min(floors[place] + value, 1e308)
                path.append(column(place, low, floors[place], scale, height))
        paths += Markup('<path class="{}" d="{}"/>').format(check_css(each.css), "".join(path))
    return paths


def column(place: int, low: float, high: float, scale: Scale, height: int) -> str:
    bottom = height_at(scale, low, height)
    top = min(height_at(scale, high, height), max(PLOT_TOP, bottom - BAR_PX_MIN))
    left, right = short(place + 0.1), short(place + 0.9)
    return f"M{left} {short(bottom)}V{short(top)}H{right}V{short(bottom)}z"


def lines(
    series: Sequence[Series],
    *,
    at: Sequence[datetime],
    unit: str,
    label: str,
    shape: Shape = "linear",
    end: str = "",
    empty: str = NOTHING,
) -> Markup:
    """Lines that are named where they run. `shape` "log" is for seconds: ages and waits."""
    stacks = [check_series(each, at) for each in series]
    known = [value for stack in stacks for value in stack if value is not None]
    most = max(known, default=0.0)
    scale = logarithmic(most) if shape == "log" else linear(most, unit=unit, least=least_top(known))
    height = LINES_HEIGHT
    paths = Markup()
    for each, stack in zip(series, stacks, strict=True):
        paths += Markup('<path class="{}" d="{}"/>').format(
            check_css(f"ln {each.css}".strip()), line(stack, scale, height)
        )
    plot = Markup(
        '<svg viewBox="0 0 100 {height}" preserveAspectRatio="none" width="100%"'
        ' height="{height}">{paths}</svg>{names}'
    ).format(height=height, paths=paths, names=named(series, stacks, scale, height))
    if not known:
        plot += say_empty(empty, height)
    return framed(scale, height, plot, at=at, end=end, label=label, unit=unit, are_points=True)


def line(values: Sequence[float | None], scale: Scale, height: int) -> str:
    """Interrupted where nothing is known; a value by itself is a dash."""
    path, pen = [], "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        x, y = 100 * across(place, len(values)), short(height_at(scale, value, height))
        alone = pen == "M" and (place + 1 == len(values) or values[place + 1] is None)
        path.append(f"{pen}{short(x)} {y}" + (f"M{short(max(0, x - 0.6))} {y}h0.6" * alone))
        pen = "L"
    return "".join(path)


def across(place: int, count: int) -> float:
    return place / (count - 1) if count > 1 else 1.0


def named(
    series: Sequence[Series],
    stacks: Sequence[Sequence[float | None]],
    scale: Scale,
    height: int,
) -> Markup:
    """Troubled ones at the right end, the others where there is room."""
    levels = [[None if v is None else height_at(scale, v, height) for v in s] for s in stacks]
    taken: list[tuple[float, float]] = []
    names = Markup()
    order = sorted(range(len(series)), key=lambda n: series[n].css not in ("b", "w"))
    for index in order:
        each = series[index]
        is_loud = each.css in ("b", "w")
        places = LOUD_PLACES if is_loud else LABEL_PLACES
        free = [
            place
            for place in list_places(levels[index], height, places)
            if all(abs(place[0] - x) > LABEL_APART_X or abs(place[1] - y) > LABEL_APART_Y
                   for x, y in taken)
        ]  # fmt: skip
        if not free:
            continue
        share, y = min(free, key=lambda place: count_crossed(levels, *place))
        taken.append((share, y))
        names += Markup('<text class="e {}" x="{}%" y="{}">{}</text>').format(
            each.css if is_loud else "k",
            short(min(99.0, share * 100)),
            short(y),
            clean(f"{each.name} {each.note}".strip()),
        )
    return names


def list_places(
    levels: Sequence[float | None], height: int, shares: Sequence[float]
) -> Iterator[tuple[float, float]]:
    """Where a name may stand, the best first: the right end of its text, and its baseline."""
    for shift in LABEL_SHIFTS:
        for share in shares if levels else ():
            level = levels[round(share * (len(levels) - 1))]
            if level is not None:
                yield share, min(height - UNDER - 3, max(PLOT_TOP, level + shift))


def count_crossed(levels: Sequence[Sequence[float | None]], share: float, baseline: float) -> int:
    """How often lines run through a text that ends there."""
    return sum(
        level is not None and baseline - 11 < level < baseline + 4
        for line in levels
        for level in line[round(max(0.0, share - LABEL_APART_X) * (len(line) - 1)) :][
            : 1 + round(LABEL_APART_X * (len(line) - 1))
        ]
    )


def say_empty(words: str, height: int) -> Markup:
    return Markup('<text class="m" x="50%" y="{}">{}</text>').format(
        round((PLOT_TOP + height - UNDER) / 2) + 4, clean(words)
    )


def share(parts: Sequence[Part], *, label: str) -> Markup:
    """A bar of 10 px that is full; every part that is not 0 can be seen."""
    values = [value or 0.0 for value in check_values(part.value for part in parts)]
    told = ", ".join(
        f"{figure(value)} {part.name}" for part, value in zip(parts, values, strict=True)
    )
    return Markup(
        '<svg class="fl" height="10" role="img" aria-label="{label}">'
        '<rect class="fx" width="100%" height="10" rx="2"/>{parts}</svg>'
    ).format(label=clean(f"{label}: {told}" if told else label), parts=share_parts(parts, values))


def share_parts(parts: Sequence[Part], values: Sequence[float]) -> Markup:
    most = max(values, default=0.0)
    if not most:
        return Markup()
    whole = sum(value / most for value in values)
    wide = [max(PART_MIN, 100 * (value / most) / whole) if value else 0.0 for value in values]
    shrink = 100 / sum(wide)
    left, bars = 0.0, Markup()
    for part, width in zip(parts, wide, strict=True):
        if width:
            bars += Markup('<rect class="{}" x="{}%" width="{}%" height="10"/>').format(
                check_css(part.css), short(left), short(max(0.2, width * shrink - PART_GAP))
            )
            left += width * shrink
    return bars


def framed(
    scale: Scale,
    height: int,
    plot: Markup,
    *,
    at: Sequence[datetime],
    end: str,
    label: str,
    unit: str,
    are_points: bool = False,
) -> Markup:
    """The plot with its axes: labels left of it, times under it."""
    texts, rules = Markup(), Markup()
    for tick in scale.ticks:
        y = PLOT_TOP + (height - UNDER - PLOT_TOP) * (1 - tick.share)
        texts += Markup('<text class="e" x="40" y="{}">{}</text>').format(short(y + 4), tick.text)
        rules += Markup('<line class="{}" x1="0" x2="100%" y1="{}" y2="{}"/>').format(
            "gr" if tick.share else "ax", short(y), short(y)
        )
    return Markup(
        '<div class="chart"><svg class="fl" height="{height}" aria-hidden="true">{texts}</svg>'
        '<svg class="fl" height="{height}" role="img" aria-label="{label}">'
        "{rules}{plot}{times}</svg></div>"
    ).format(
        height=height,
        texts=texts,
        label=clean(f"{label}, in {unit}, up to {scale.ticks[-1].text}"),
        rules=rules,
        plot=plot,
        times=times(at, height=height, end=end, are_points=are_points),
    )


def times(at: Sequence[datetime], *, height: int, end: str, are_points: bool) -> Markup:
    if not at:
        return Markup()
    labels = time_labels(at, are_points=are_points)
    texts = Markup()
    for number, (place, text) in enumerate(labels):
        # The right end has a label of its own.
        if number and place > 0.88:
            continue
        css = "" if not number else "m" if number % 2 == 0 else "m d-only"
        texts += Markup('<text class="{}" x="{}%" y="{}">{}</text>').format(
            css, short(place * 100), height - 4, text
        )
    if len(at) > 1 or end:
        last = end or clock(at[-1], at[-1] - at[0])
        texts += Markup('<text class="e" x="100%" y="{}">{}</text>').format(height - 4, clean(last))
    return texts


def height_at(scale: Scale, value: float, height: int) -> float:
    return PLOT_TOP + (height - UNDER - PLOT_TOP) * (1 - scale.share(value))


def least_top(values: Sequence[float | None]) -> float:
    whole = all(value is None or value == int(value) for value in values)
    return WHOLE_TOP_MIN if whole else 0.0


def check_series(series: Series, at: Sequence[datetime]) -> list[float | None]:
    """Raises ValueError where values and times do not go together."""
    if len(series.values) != len(at):
        raise ValueError(f"{series.name}: {len(series.values)} values for {len(at)} times")
    return check_values(series.values)


def check_css(css: str) -> str:
    """Raises ValueError for what is no list of class names."""
    if not CLASSES.fullmatch(css):
        raise ValueError(f"no classes of a chart: {css!r}")
    return css
