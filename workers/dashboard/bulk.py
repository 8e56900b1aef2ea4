"""What can be done to many jobs: what would change and why the rest would not. Pure.

A preview freezes the ids that would change; what is sent is exactly these, whatever came since.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from db.bulk import Judged

# Beyond it, an action takes the newest and says so.
BULK_MAX = 10_000
# From here on, the number must be typed.
TYPED_FROM = 1_000
PART_MAX = 1_000
PACE_MAX = 60_000
PRIORITY_MAX = 1_000
ID_DIGITS_MAX = 19

WAITING = frozenset({"scheduled", "available", "dispatched", "retryable"})
FINISHED = frozenset({"completed", "discarded", "cancelled"})


@dataclass(frozen=True, slots=True)
class Action:
    """`does` says what becomes of a job; `audit` is the name in the audit log."""

    name: str
    word: str
    does: str
    done: str
    audit: str
    skips: Callable[[Judged], str | None]
    dangerous: bool = False
    paced: bool = False


def skip_retry(job: Judged) -> str | None:
    if job.state == "running":
        return "running now"
    if job.state in ("available", "dispatched"):
        return "waiting to run already"
    if job.blocked:
        return "waiting for other jobs"
    return skip_unfit(job)


def skip_unfit(job: Judged) -> str | None:
    if job.unfit:
        return "of a kind or with arguments that no worker takes any more"
    if job.twin:
        return "an equal job already waits or runs"
    if job.later:
        return "a newer equal job is among these"
    return None


def skip_cancel(job: Judged) -> str | None:
    return "finished already" if job.state in FINISHED else None


def skip_discard(job: Judged) -> str | None:
    if job.state == "running":
        return "running now: cancel them instead"
    return skip_cancel(job)


def skip_replay(job: Judged) -> str | None:
    if job.state not in FINISHED:
        return "not finished yet"
    if job.waited:
        return "made to wait for other jobs, which are over"
    return skip_unfit(job)


def skip_priority(job: Judged) -> str | None:
    return "running now" if job.state == "running" else skip_cancel(job)


ACTIONS = {
    action.name: action
    for action in (
        Action(
            "retry", "Retry", "become available again", "put back", "retry_jobs",
            skip_retry, paced=True,
        ),
        Action(
            "cancel", "Cancel", "are cancelled; what runs is asked to stop", "cancelled",
            "cancel_jobs", skip_cancel, dangerous=True,
        ),
        Action(
            "discard", "Discard", "are given up as discarded", "discarded", "discard_jobs",
            skip_discard, dangerous=True,
        ),
        Action(
            "replay", "Replay as new", "are enqueued once more, as new jobs", "enqueued anew",
            "replay_jobs", skip_replay, paced=True,
        ),
        Action(
            "priority", "Re-prioritise", "get another priority", "re-prioritised",
            "set_priority", skip_priority,
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Preview:
    """`ids` change, newest first; the rest is skipped for a reason."""

    action: Action
    ids: tuple[int, ...]
    skipped: dict[str, int]
    by_state: dict[str, int]
    by_queue: dict[str, int]
    kinds: tuple[str, ...]
    tenants: int

    @property
    def typed(self) -> bool:
        """Whether the number must be typed."""
        return len(self.ids) > TYPED_FROM


def preview(action: Action, jobs: Sequence[Judged]) -> Preview:
    skipped: Counter[str] = Counter()
    by_state: Counter[str] = Counter()
    by_queue: Counter[str] = Counter()
    changed = []
    for group in jobs:
        if reason := action.skips(group):
            skipped[reason] += len(group.ids)
            continue
        changed.append(group)
        by_state[group.state] += len(group.ids)
        by_queue[group.queue] += len(group.ids)
    return Preview(
        action=action,
        ids=tuple(sorted(chain.from_iterable(group.ids for group in changed), reverse=True)),
        skipped=dict(skipped.most_common()),
        by_state=dict(by_state.most_common()),
        by_queue=dict(by_queue.most_common()),
        kinds=tuple(sorted({group.kind for group in changed})),
        tenants=len(set(chain.from_iterable(group.tenants for group in changed))),
    )


def plan_delays(ids: Sequence[int], per_minute: int) -> dict[int, float]:
    """When each begins, in seconds from now: the oldest first; all at once with a pace of 0."""
    if not per_minute:
        return dict.fromkeys(sorted(ids), 0.0)
    return {job_id: rank * 60 / per_minute for rank, job_id in enumerate(sorted(ids))}


def parts_of(ids: Sequence[int]) -> list[list[int]]:
    """Newest first, for of equal jobs the newest runs; each part is a short transaction."""
    ordered = sorted(ids, reverse=True)
    return [ordered[start : start + PART_MAX] for start in range(0, len(ordered), PART_MAX)]


def pack(ids: Sequence[int]) -> str:
    """The first, then how much smaller each next one is: short, and in one order."""
    ordered = sorted(ids, reverse=True)
    steps = [above - below for above, below in pairwise(ordered)]
    return ".".join(map(str, [*ordered[:1], *steps]))


def unpack(text: str) -> list[int]:
    """Raises ValueError for what `pack` does not write, and for more than BULK_MAX ids."""
    steps = text.split(".") if text else []
    if len(steps) > BULK_MAX:
        raise ValueError(f"{len(steps)} jobs, at most {BULK_MAX} are changed at once")
    ids: list[int] = []
    for step in steps:
        if not step.isascii() or not step.isdigit() or len(step) > ID_DIGITS_MAX or int(step) < 1:
            raise ValueError("the list of jobs is damaged")
        ids.append(ids[-1] - int(step) if ids else int(step))
    if ids and not 0 < ids[-1] <= ids[0] < 2**63:
        raise ValueError("the list of jobs is damaged")
    return ids
