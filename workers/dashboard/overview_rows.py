"""The overview's queues as rows: what each says, and how bad that is. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from db.history import Finished, Window
from db.lanes import Pause
from db.metrics import Depth
from workers.dashboard.percentiles import NONE, Percentiles
from workers.dashboard.words import duration
from workers.jobs import KINDS, QUEUES
from workers.targets import TARGETS_S

STATES = ("scheduled", "available", "dispatched", "running", "retryable")
TARGET_S = 60.0
# So many times over its target, a queue is in as much trouble as one that stands still.
BAD_TIMES = 3.0
DONE = ("completed",)
FAILED = ("retryable", "discarded", "lost")
QUEUE_OF = {name: kind.queue for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class QueueRow:
    """`oldest_s` is None where nothing that is due waits; `level` is "bad", "warn" or ""."""

    queue: str
    depth: Mapping[str, int]
    oldest_s: float | None
    target_s: float
    busy: int
    slots: int
    hosts: int
    state: str
    icon: str
    word: str
    level: str
    waits: Percentiles
    runs: Percentiles
    finished: Sequence[float]
    failed: Sequence[float]

    @property
    def over(self) -> float:
        """The oldest's age as a share of the target."""
        return (self.oldest_s or 0.0) / self.target_s

    @property
    def target(self) -> str:
        """In words: it is a round figure."""
        return duration(self.target_s)

    @property
    def css(self) -> str:
        """How charts name the level."""
        return {"bad": "b", "warn": "w"}.get(self.level, "")


@dataclass(frozen=True, slots=True)
class State:
    """How a queue is said to be: the class and the glyph, the word, the level."""

    css: str
    icon: str
    word: str
    level: str = ""


def judge(
    queue: str,
    *,
    depth: Mapping[str, int],
    over: float,
    slots: int,
    pauses: Sequence[Pause],
) -> State:
    """The worst that holds."""
    due = depth.get("available", 0) + depth.get("dispatched", 0)
    if any(pause.scope == "queue" and pause.name == queue for pause in pauses):
        return State("held", "pause", "paused", "warn" if over > 1 else "")
    if not slots and (due or depth.get("running", 0)):
        return State("stopped", "stop", "no worker", "bad")
    if over > BAD_TIMES:
        return State("stopped", "warn", "very late", "bad")
    if over > 1:
        return State("late", "warn", "late", "warn")
    held = [p.name for p in pauses if p.scope == "kind" and QUEUE_OF.get(p.name) == queue]
    if held:
        return State("held", "pause", f"{len(held)} kind{'s' * (len(held) > 1)} paused")
    if depth.get("running", 0):
        return State("running", "running", "running")
    if not slots:
        return State("idle", "idle", "no worker, nothing due")
    if due:
        return State("available", "available", "waiting")
    return State("ok", "idle", "nothing waits")


def build_rows(
    depths: Sequence[Depth],
    *,
    slots: Mapping[str, tuple[int, int]],
    running: Mapping[str, int],
    pauses: Sequence[Pause],
    waits: Mapping[str, Percentiles],
    runs: Mapping[str, Percentiles],
    finished: Sequence[Finished],
    window: Window,
) -> list[QueueRow]:
    """All queues that there are or that jobs wait in, the one furthest over its target first.

    `slots` are by queue: slots and hosts.
    """
    by_queue = sum_depths(depths)
    names = [*QUEUES, *sorted(set(by_queue) - set(QUEUES))]
    done, failed = (rates(finished, outcomes, window) for outcomes in (DONE, FAILED))
    nothing = [0.0] * slots_of(window)
    rows = [
        build_row(
            queue,
            *by_queue.get(queue, ({}, None)),
            busy=running.get(queue, 0),
            slots=slots.get(queue, (0, 0)),
            pauses=pauses,
            timed=(waits.get(queue, NONE), runs.get(queue, NONE)),
            ended=(done.get(queue, nothing), failed.get(queue, nothing)),
        )
        for queue in names
    ]
    return sorted(rows, key=lambda row: (row.level != "bad", -row.over, row.queue))


def build_row(
    queue: str,
    depth: Mapping[str, int],
    oldest_s: float | None,
    *,
    busy: int,
    slots: tuple[int, int],
    pauses: Sequence[Pause],
    timed: tuple[Percentiles, Percentiles],
    ended: tuple[Sequence[float], Sequence[float]],
) -> QueueRow:
    """`timed` are waits and runs, `ended` those that finished and those that failed."""
    target_s = TARGETS_S.get(queue, TARGET_S)
    over = (oldest_s or 0.0) / target_s
    state = judge(queue, depth=depth, over=over, slots=slots[0], pauses=pauses)
    return QueueRow(
        queue=queue,
        depth={name: depth.get(name, 0) for name in STATES},
        oldest_s=oldest_s,
        target_s=target_s,
        busy=busy,
        slots=slots[0],
        hosts=slots[1],
        state=state.css,
        icon=state.icon,
        word=state.word,
        level=state.level,
        waits=timed[0],
        runs=timed[1],
        finished=ended[0],
        failed=ended[1],
    )


def sum_depths(depths: Sequence[Depth]) -> dict[str, tuple[dict[str, int], float | None]]:
    """By queue: jobs by state, and the age of the oldest that is due."""
    found: dict[str, tuple[dict[str, int], float | None]] = {}
    for row in depths:
        jobs, oldest_s = found.get(row.queue, ({}, None))
        if row.state in STATES:
            jobs[row.state] = jobs.get(row.state, 0) + row.jobs
        ages = [age for age in (oldest_s, row.waited_s) if age is not None]
        found[row.queue] = jobs, max(ages, default=None)
    return found


def slots_of(window: Window) -> int:
    """How many slots a window has."""
    step = timedelta(minutes=window.step_min)
    return -int((window.begins_at - window.ends_at) // step)


def rates(
    finished: Sequence[Finished], outcomes: Sequence[str], window: Window
) -> dict[str, list[float]]:
    """By queue: attempts with these outcomes a minute, slot by slot."""
    step = timedelta(minutes=window.step_min)
    found: dict[str, list[float]] = {}
    for row in finished:
        queue = QUEUE_OF.get(row.kind)
        if queue is None or row.outcome not in outcomes:
            continue
        values = found.setdefault(queue, [0.0] * slots_of(window))
        values[int((row.at - window.begins_at) / step)] += row.jobs / minutes_of(row.at, window)
    return found


def minutes_of(at: datetime, window: Window) -> float:
    """How many full minutes of a slot are over: the last one may still be filling up."""
    end = min(at + timedelta(minutes=window.step_min), window.ends_at)
    return (end - at) / timedelta(minutes=1)
