"""The ruler of waits: one logarithmic scale of time that all queues share."""

import math

from markupsafe import Markup

from workers.dashboard.percentiles import Percentiles
from workers.dashboard.scales import clean, short
from workers.dashboard.words import duration

FIRST_S, LAST_S = 0.16, 14_400.0
MARKS = ((1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3_600.0, "1 h"))
HEIGHT = 66
# Nearer to an end, a name would stand over it.
MARGIN = 0.1


def place(seconds: float) -> float:
    """The share of the width; what is shorter or longer than the scale stands at its end."""
    if seconds <= FIRST_S:
        return 0.0
    return min(1.0, math.log(seconds / FIRST_S) / math.log(LAST_S / FIRST_S))


def percent(seconds: float) -> str:
    return f"{short(100 * place(seconds))}%"


def head() -> Markup:
    """The names of the marks, for the head of the table."""
    texts = Markup().join(
        Markup('<text class="m{}" x="{}" y="13">{}</text>').format(
            " x-only" if number % 2 else "", percent(s), text
        )
        for number, (s, text) in enumerate(MARKS)
    )
    return Markup('<svg class="fl" height="18" aria-hidden="true">{}</svg>').format(texts)


def row(
    queue: str, *, waits: Percentiles, oldest_s: float | None, target_s: float, css: str = ""
) -> Markup:
    """A line from p50 to p99, a disc at the oldest, hatched beyond the target."""
    beyond = 100 * (1 - place(target_s))
    return Markup(
        '<svg class="fl" height="66" role="img" aria-label="{label}">'
        '<rect class="over" x="{target}" y="0" width="{beyond}%" height="66"/>{marks}'
        '<line class="tg" x1="{target}" x2="{target}" y1="4" y2="62"/>{range}{disc}</svg>'
    ).format(
        label=clean(told(queue, waits, oldest_s, target_s)),
        target=percent(target_s),
        beyond=short(beyond),
        marks=marks(),
        range=spread(waits),
        disc=disc(oldest_s, css),
    )


def told(queue: str, waits: Percentiles, oldest_s: float | None, target_s: float) -> str:
    p50, p95, p99 = waits.texts
    spread = f"wait p50 {p50}, p95 {p95}, p99 {p99}" if waits.p50 else "nothing was sent"
    oldest = "nothing waits" if oldest_s is None else f"oldest {duration(oldest_s)}"
    return f"{queue}: {spread}; {oldest}; target {duration(target_s)}"


def marks() -> Markup:
    rules = Markup().join(
        Markup('<line class="gr" x1="{0}" x2="{0}" y1="0" y2="66"/>').format(percent(s))
        for s, _ in MARKS
    )
    texts = Markup().join(
        Markup('<text class="m" x="{}" y="64">{}</text>').format(percent(s), text)
        for s, text in MARKS
    )
    return rules + Markup('<g class="m-only">{}</g>').format(texts)


def spread(waits: Percentiles) -> Markup:
    if waits.p50 is None or waits.p95 is None or waits.p99 is None:
        return Markup()
    ends = [percent(each.seconds) for each in (waits.p50, waits.p95, waits.p99)]
    line = Markup('<line class="rg" x1="{}" x2="{}" y1="33" y2="33"/>').format(ends[0], ends[2])
    ticks = Markup().join(
        Markup('<line class="tk" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(end, *across)
        for end, across in zip(ends, ((26, 40), (28, 38), (30, 36)), strict=True)
    )
    return line + ticks + names(waits.p50.seconds, waits.p99.seconds)


def names(low_s: float, high_s: float) -> Markup:
    """Of both ends; of a short line, one name for both."""
    apart = place(high_s) - place(low_s)
    words = ((low_s, "p50"), (high_s, "p99")) if apart > MARGIN else ((high_s, "p50\u2013p99"),)
    return Markup().join(
        Markup('<text class="{} halo d-only" x="{}" y="53">{}</text>').format(
            anchor(place(s)), percent(s), word
        )
        for s, word in words
    )


def disc(oldest_s: float | None, css: str) -> Markup:
    if oldest_s is None:
        return Markup()
    return Markup(
        '<circle class="ring {css}" cx="{x}" cy="33" r="5.5"/>'
        '<text class="{anchor} {text}" x="{x}" y="21">oldest {age}</text>'
    ).format(
        css=css,
        x=percent(oldest_s),
        anchor=anchor(place(oldest_s), margin=2 * MARGIN),
        text=css or "k",
        age=duration(oldest_s),
    )


def anchor(share: float, *, margin: float = MARGIN) -> str:
    """Which end of a text stands at its place: none may leave the ruler."""
    return "" if share < margin else "e" if share > 1 - margin else "m"
