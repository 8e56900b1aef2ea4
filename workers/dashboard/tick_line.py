"""The timeline of a schedule: what its ticks became, and what is planned. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from db.schedules import LATE_S_MIN, Mark

BACK = timedelta(hours=3)
AHEAD = timedelta(hours=3)
HOUR = timedelta(hours=1)
# More planned ticks than these are drawn as one path, and counted no further.
DOTS_MAX = 40
# Marks nearer to each other than this share a label.
NEAR_PERCENT = 7.0
LABEL_END = 44.0
FAILED = frozenset({"discarded", "cancelled"})


@dataclass(frozen=True, slots=True)
class Label:
    """Words under the marks that they are about; `css` is b for bad and w for a warning."""

    x: float
    words: str
    css: str


@dataclass(frozen=True, slots=True)
class TickLine:
    """Positions in percent; `ran` and `later` are paths in a box 1000 wide and 40 high."""

    label: str
    ran: str
    failed: Sequence[float]
    missed: Sequence[float]
    made_up: Sequence[float]
    by_hand: Sequence[float]
    planned: Sequence[float]
    later: str
    late_from: float | None
    late_words: str
    next_words: str
    labels: Sequence[Label]


@dataclass(frozen=True, slots=True)
class Ruler:
    """The hours of a timeline, and how they read."""

    hours: Sequence[tuple[float, str]]
    start: datetime
    end: datetime
    now: datetime

    def at(self, moment: datetime) -> float:
        share = (moment - self.start) / (self.end - self.start)
        return round(min(max(share, 0.0), 1.0) * 100, 2)


def rule(now: datetime) -> Ruler:
    start, end = now - BACK, now + AHEAD
    bare = Ruler((), start, end, now)
    first = start.replace(minute=0, second=0, microsecond=0) + HOUR
    hours = [first + number * HOUR for number in range(6)]
    shown = [(bare.at(hour), f"{hour:%H:%M}") for hour in hours if hour <= end]
    return Ruler(shown, start, end, now)


def draw(
    ruler: Ruler,
    name: str,
    marks: Sequence[Mark],
    planned: Sequence[datetime],
    *,
    late_s: float = 0.0,
    next_at: datetime | None = None,
    rest: str = "",
) -> TickLine:
    """`rest` is said where nothing is planned, such as since when it is paused."""
    regular = [mark for mark in marks if not mark.by_hand]
    missed = places(ruler, [m for m in regular if m.skipped])
    made_up = places(ruler, [m for m in regular if m.made_up])
    failed = places(ruler, [m for m in marks if m.state in FAILED])
    ran = [m for m in regular if not m.skipped and not m.made_up and m.state not in FAILED]
    few = len(planned) <= DOTS_MAX
    is_late = late_s >= LATE_S_MIN
    return TickLine(
        label=describe(name, len(ran), failed, missed, made_up, len(planned)),
        ran=path(places(ruler, ran), top=14, bottom=26),
        failed=failed,
        missed=missed,
        made_up=made_up,
        by_hand=places(ruler, [m for m in marks if m.by_hand]),
        planned=[ruler.at(at) for at in planned] if few else [],
        later="" if few else path([ruler.at(at) for at in planned], top=18, bottom=22),
        late_from=ruler.at(ruler.now - timedelta(seconds=late_s)) if is_late else None,
        late_words=f"due {ruler.now - timedelta(seconds=late_s):%H:%M}" if is_late else "",
        next_words="" if planned else rest or in_words(next_at, ruler.now),
        labels=[
            *gather(missed, "missed", "w"),
            *gather(made_up, "made up", "w"),
            *gather(failed, "failed", "b"),
        ],
    )


def places(ruler: Ruler, marks: Sequence[Mark]) -> list[float]:
    return sorted(ruler.at(mark.fire_at) for mark in marks)


def path(places: Sequence[float], *, top: int, bottom: int) -> str:
    """Strokes at these places; as one path, for a schedule may have thousands."""
    return "".join(f"M{x * 10:.1f} {top}V{bottom}" for x in dict.fromkeys(places))


def gather(places: Sequence[float], what: str, css: str) -> list[Label]:
    """One label for each heap, in its middle: `12 missed`."""
    heaps: list[list[float]] = []
    for place in places:
        if heaps and place - heaps[-1][-1] < NEAR_PERCENT:
            heaps[-1].append(place)
        else:
            heaps.append([place])
    return [
        Label(
            min((heap[0] + heap[-1]) / 2, LABEL_END),
            what if len(heap) == 1 else f"{len(heap)} {what}",
            css,
        )
        for heap in heaps
    ]


def describe(
    name: str,
    ran: int,
    failed: Sequence[float],
    missed: Sequence[float],
    made_up: Sequence[float],
    planned: int,
) -> str:
    parts = [f"{ran} ran", f"{len(failed)} failed", f"{len(missed)} missed"]
    return f"{name}: {', '.join(parts)}, {len(made_up)} made up, {planned} planned"


def in_words(at: datetime | None, now: datetime) -> str:
    """When the next one comes that lies behind the line's end."""
    if at is None:
        return ""
    utc = at.astimezone(UTC)
    if utc - now < timedelta(days=6):
        return f"next {utc:%a %H:%M}"
    return f"next {utc:%d %b %Y %H:%M}" if utc.year != now.year else f"next {utc:%d %b %H:%M}"
