"""From values to places on a chart: rounded tops, labelled ticks, linear and logarithmic."""

import math
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

STEPS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
# Under a top of so many steps these lie on whole or half ones.
TICKS = {3.0: 3, 6.0: 3}
LEAST = 1e-9
# A top that is far too high by now is given up.
LOOSE = 4.0
# Spans that read well on a logarithmic axis, in seconds.
SPANS: tuple[tuple[float, str], ...] = (
    (1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3_600, "1 h"), (36_000, "10 h"),
    (259_200, "3 d"), (2_592_000, "30 d"), (31_536_000, "1 y"), (315_360_000, "10 y"),
    (3_153_600_000, "100 y"),
)  # fmt: skip
# So many spans are shown at least, for an idle hour to look like a busy one.
SPANS_MIN = 3
SHORT = ((1e12, "T"), (1e9, "G"), (1e6, "M"))
ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Shape = Literal["linear", "log"]


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place: 0 is the floor, 1 the top."""

    share: float
    text: str


@dataclass(frozen=True, slots=True)
class Scale:
    """`floor` and `top` are values; what lies beyond them is drawn at them."""

    shape: Shape
    floor: float
    top: float
    ticks: tuple[Tick, ...]

    def share(self, value: float) -> float:
        """How high between floor (0) and top (1)."""
        if self.shape == "linear":
            return min(1.0, max(0.0, value / self.top))
        if value <= self.floor:
            return 0.0
        return min(1.0, math.log(value / self.floor) / math.log(self.top / self.floor))


def check_values(values: Iterable[float | None]) -> list[float | None]:
    """As floats. Raises ValueError for what no chart can show: NaN, infinity, less than 0."""
    checked = [None if value is None else float(value) for value in values]
    for value in checked:
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"a chart cannot show {value!r}: finite values from 0 only")
    return checked


def round_top(most: float, *, least: float = LEAST) -> float:
    """The next 1, 2, 3, 4, 6 or 8 with noughts that is at least `most`, and at least `least`."""
    wanted = max(most, least, LEAST)
    base = 10.0 ** math.floor(math.log10(wanted))
    for step in STEPS:
        if step * base >= wanted * (1 - 1e-12):
            return min(step * base, sys.float_info.max)
    return sys.float_info.max


def keep_top(most: float, before: float | None, *, least: float = LEAST) -> float:
    """The top that was, for as long as it fits and is not far too high: bars shall not jump."""
    top = round_top(most, least=least)
    return before if before is not None and top <= before <= top * LOOSE else top


def linear(most: float, *, unit: str, least: float = LEAST, top: float | None = None) -> Scale:
    highest = round_top(max(most, top or 0.0), least=least)
    base = 10.0 ** math.floor(math.log10(highest))
    parts = TICKS.get(round(highest / base, 3), 2)
    ticks = (Tick(n / parts, figure(highest * (n / parts), unit=unit)) for n in range(parts + 1))
    return Scale("linear", 0.0, highest, tuple(ticks))


def logarithmic(most: float) -> Scale:
    """Of seconds. The floor is a second: what is shorter lies on it, and its label says so."""
    count = next((n for n, (s, _) in enumerate(SPANS, 1) if s >= most), len(SPANS))
    shown = SPANS[: max(count, SPANS_MIN)]
    floor, top = shown[0][0], max(shown[-1][0], most)
    ticks = [Tick(0.0, f"\u2264 {shown[0][1]}")]
    ticks += [Tick(math.log(s / floor) / math.log(top / floor), text) for s, text in shown[1:]]
    return Scale("log", floor, top, tuple(ticks))


def figure(value: float, *, unit: str = "") -> str:
    """Short enough for an axis: 0, 0.05, 3,000, 1.5 M; a currency sign goes before it."""
    sign = "$" if unit == "$" else ""
    return sign + plain(value)


def plain(value: float) -> str:
    if value >= 1e15 or 0 < value < 1e-4:
        return f"{value:.2g}"
    for size, name in SHORT:
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def clock(at: datetime, span: timedelta) -> str:
    """The time of day, or the day where many are shown."""
    utc = at.astimezone(UTC)
    return f"{utc:%d %b}" if span >= timedelta(days=2) else f"{utc:%H:%M}"


def time_labels(
    at: Sequence[datetime], *, are_points: bool = False, parts: int = 6
) -> list[tuple[float, str]]:
    """(share of the width, text) of some times, the first always.

    Columns begin at them; points of a line lie on them, the last at the right end.
    """
    if not at:
        return []
    span, width = at[-1] - at[0], max(1, len(at) - are_points)
    step = max(1, math.ceil(width / parts))
    return [(n / width, clock(at[n], span)) for n in range(0, width, step)]


def clean(text: str) -> str:
    """Without what XML cannot hold."""
    return ILLEGAL.sub("\ufffd", text)


def short(value: float) -> str:
    """A coordinate: two decimals at most."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
