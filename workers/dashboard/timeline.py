"""Draws a job's attempts over time, one row each: waited, dispatched, ran, rested."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape

from db.job_page import JobRow
from workers.dashboard import masks
from workers.dashboard.tries import ENDLESS, Try
from workers.dashboard.words import duration

ROW = 44
TOP = 18
BAR = 16
FOOT = 20
TICKS = 4
LABEL_CHARS_MAX = 26
# Beyond it, a text ends at its place instead of beginning there.
LATE = 66.0
STEPS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120,
           300, 600, 1_200, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800,
           2_592_000)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Span:
    """The time axis; places are percentages."""

    start: datetime
    seconds: float

    def x(self, at: datetime) -> float:
        share = (at - self.start).total_seconds() / self.seconds
        return round(100 * min(1.0, max(0.0, share)), 2)


def draw(row: JobRow, tries: Sequence[Try]) -> Markup | None:
    """None where nothing has happened yet."""
    row, tries = finite(row), [finite_try(each) for each in tries]
    moments = list(list_moments(row, tries))
    if not (tries or is_waiting(row)) or max(moments) <= min(moments):
        return None
    span = Span(min(moments), (max(moments) - min(moments)).total_seconds())
    waits = is_waiting(row)
    height = TOP + ROW * (len(tries) + waits)
    words = [ordinal(each.number) for each in tries] + (["next"] if waits else [])
    begin, end = (clock(at, row.now, span.seconds) for at in (span.start, max(moments)))
    label = f"Attempts {words[0]} to {words[-1]}, from {begin} to {end}"
    drawn = [*ticks(span, height, begin)]
    for place, each in enumerate(tries):
        drawn += draw_try(row, each, span, TOP + ROW * place)
    drawn += draw_rests(row, tries, span)
    names = Markup("").join(
        Markup('<text class="e k" x="44" y="{}">{}</text>').format(TOP + ROW * place + 12, word)
        for place, word in enumerate(words)
    )
    return Markup(
        '<div class="chart tries"><svg class="fl" height="{0}" aria-hidden="true">{1}</svg>'
        '<svg class="fl" height="{0}" role="img" aria-label="{2}">{3}'
        '<line class="ax" x1="0" x2="100%" y1="{4}" y2="{4}"/></svg></div>'
    ).format(height + FOOT, names, label, Markup("").join(drawn), height)


def finite(row: JobRow) -> JobRow:
    """Without times that no axis reaches."""
    return replace(
        row,
        created_at=row.run_at if row.created_at in ENDLESS else row.created_at,
        finished_at=None if row.finished_at in ENDLESS else row.finished_at,
    )


def finite_try(each: Try) -> Try:
    names = ("due_at", "dispatched_at", "started_at", "ended_at")
    endless: dict[str, Any] = {name: None for name in names if getattr(each, name) in ENDLESS}
    return replace(each, **endless)


def is_waiting(row: JobRow) -> bool:
    return row.state in ("scheduled", "available", "dispatched", "retryable")


def list_moments(row: JobRow, tries: Sequence[Try]) -> Iterator[datetime]:
    for each in tries:
        yield from filter(None, (each.due_at, each.dispatched_at, each.started_at, each.ended_at))
    if not tries:
        yield row.created_at
    if is_waiting(row):
        yield row.run_at if tries or row.state == "scheduled" else max(row.run_at, row.created_at)
    yield row.finished_at or row.now


def draw_try(row: JobRow, each: Try, span: Span, y: int) -> Iterator[Markup]:
    begun = each.dispatched_at or each.started_at
    if each.due_at is not None and begun is not None:
        yield bar("p1", span, each.due_at, begun, y)
        if (begun - each.due_at).total_seconds() > span.seconds * 0.12:
            yield text("halo d-only", span.x(each.due_at), y - 5, f"waited {said(each.waited)}")
    if each.dispatched_at is not None and each.started_at is not None:
        yield bar("p3", span, each.dispatched_at, each.started_at, y)
    if each.started_at is None:
        return
    ended_at = row.now if each.result == "running" else each.ended_at
    if ended_at is None:
        return
    is_bad = each.result in ("retryable", "discarded", "cancelled")
    yield bar("hb" if is_bad else "p4", span, each.started_at, ended_at, y)
    word = "running" if each.result == "running" else "ran"
    what = Markup('<tspan class="d-only">, {}</tspan>').format(
        masks.cut(each.what, LABEL_CHARS_MAX)
    )
    label = escape(f"{word} {said(each.ran(row.now))}")
    if is_bad and each.what:
        label += what
    x = span.x(each.started_at)
    # Beside what is written over the wait, where that leaves room.
    yield text("b" if is_bad else "k", span.x(ended_at) if x > LATE else x, y - 5, label)


def draw_rests(row: JobRow, tries: Sequence[Try], span: Span) -> Iterator[Markup]:
    """Dashes from an attempt's end to when the next one was due, or began."""
    for place, (before, after) in enumerate(pairwise(tries)):
        until = after.due_at or after.dispatched_at or after.started_at
        if before.ended_at is not None and until is not None:
            word = "backoff" if after.due_at is not None else "rested and waited"
            yield rest(span, before.ended_at, until, TOP + ROW * place, word)
    if not is_waiting(row):
        return
    y = TOP + ROW * len(tries)
    if tries and tries[-1].ended_at is not None:
        word = "backoff" if row.state == "retryable" else "rested"
        yield rest(span, tries[-1].ended_at, row.run_at, y - ROW, word)
    elif not tries and row.run_at > row.created_at:
        yield rest(span, row.created_at, row.run_at, y, "put off", drop=False)
    if row.run_at < row.now:
        yield bar("p1", span, row.run_at, row.now, y)
        x = span.x(row.run_at)
        yield text("k", x if x < LATE else 100, y - 5,
                   f"waits {duration((row.now - row.run_at).total_seconds())}")  # fmt: skip


def rest(
    span: Span, start: datetime, end: datetime, y: int, word: str, *, drop: bool = True
) -> Markup:
    x1, x2, middle = span.x(start), span.x(end), y + BAR // 2
    dashes = Markup('<line class="tg" x1="{}%" x2="{}%" y1="{}" y2="{}"/>')
    drawn = dashes.format(x1, x2, middle, middle)
    if drop:
        drawn += dashes.format(x2, x2, middle, y + ROW - 2)
    if (end - start).total_seconds() > span.seconds * 0.06:
        label = f"{word} {duration((end - start).total_seconds())}"
        if not drop:
            # The bar of what came after stands behind it.
            return drawn + text("halo d-only", x1, y - 5, label)
        shift = x2 + 0.6 if x2 < LATE else x2 - 0.6
        drawn += text("halo d-only", shift, y + 12 if x2 < LATE else y + 21, label)
    return drawn


def bar(css: str, span: Span, start: datetime, end: datetime, y: int) -> Markup:
    x = span.x(start)
    width = max(0.25, round(span.x(end) - x, 2))
    return Markup('<rect class="{}" x="{}%" y="{}" width="{}%" height="{}"/>').format(
        css, min(x, 99.75), y, width, BAR
    )


def text(css: str, x: float, y: int, words: str) -> Markup:
    anchor = " e" if x > LATE else ""
    return Markup('<text class="{}{}" x="{}%" y="{}">{}</text>').format(css, anchor, x, y, words)


def ticks(span: Span, height: int, begin: str) -> Iterator[Markup]:
    """The start by the clock, then round steps from it."""
    step_s = next((s for s in STEPS_S if s * TICKS >= span.seconds), span.seconds / TICKS)
    number = 0
    while number * step_s <= span.seconds * 1.001:
        x = round(100 * number * step_s / span.seconds, 2)
        word = begin if number == 0 else f"+{duration(number * step_s)}"
        css = "" if number == 0 else "e" if x > 96 else "m"
        yield Markup(
            '<line class="gr" x1="{0}%" x2="{0}%" y1="0" y2="{1}"/>'
            '<text class="{2}" x="{0}%" y="{3}">{4}</text>'
        ).format(x, height, css if number % 2 == 0 else f"{css} d-only", height + 16, word)
        number += 1


def said(span: object) -> str:
    seconds = getattr(span, "total_seconds", None)
    return duration(None if seconds is None else seconds())


def clock(at: datetime, now: datetime, span_s: float) -> str:
    """With the day where that is not today's, and with milliseconds where seconds say nothing."""
    utc = at.astimezone(UTC)
    if utc.date() != now.astimezone(UTC).date():
        return f"{utc:%d %b %H:%M}" if utc.year == now.year else f"{utc:%d %b %Y}"
    return f"{utc:%H:%M:%S}.{utc.microsecond // 1000:03}" if span_s < 1 else f"{utc:%H:%M:%S}"


def ordinal(number: int) -> str:
    special = 10 <= number % 100 <= 20
    return f"{number}{'th' if special else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"
