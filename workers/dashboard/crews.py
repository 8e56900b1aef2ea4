"""Who works, on what, and whether anybody is ill. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from db.crews import Member, Running
from db.processes import LEASE_S, RENEW_S
from workers.jobs import LOOP_QUEUES

# A renewal that is so late was missed.
LATE_S = 2.5 * RENEW_S
ROLES = ("worker", "dispatcher", "scheduler", "dashboard")
# Without one of these nothing moves, or nothing new is begun.
NEEDED = {
    "worker": ("No worker runs", "Jobs wait. Start one: avivro worker."),
    "dispatcher": ("No dispatcher runs", "Nothing leaves the backlog: avivro dispatcher."),
    "scheduler": (
        "No scheduler runs",
        "Schedules are late, and no alert is sent: avivro scheduler.",
    ),
}


@dataclass(frozen=True, slots=True)
class Post:
    """A queue of a process: `busy` of `threads`; for loops, slots."""

    queue: str
    threads: int | None
    busy: int

    @property
    def word(self) -> str:
        return "slots" if self.queue in LOOP_QUEUES else "threads"


@dataclass(frozen=True, slots=True)
class Task:
    """A job that runs; usual_s is what 95 of 100 of its kind need, None where that is unknown."""

    job: Running
    ran_s: float
    usual_s: float | None

    @property
    def is_long(self) -> bool:
        return self.usual_s is not None and self.ran_s > max(1.0, self.usual_s)


@dataclass(frozen=True, slots=True)
class Person:
    """One process. `health` is live, late, draining or dead."""

    row: Member
    health: str
    posts: tuple[Post, ...]
    tasks: tuple[Task, ...]
    jobs: int

    @property
    def more(self) -> int:
        return self.jobs - len(self.tasks)

    @property
    def lives_s(self) -> float:
        return (self.row.now - self.row.started_at).total_seconds()

    @property
    def renewed_s(self) -> float:
        return (self.row.now - self.row.renewed_at).total_seconds()

    @property
    def expires_s(self) -> float:
        return (self.row.expires_at - self.row.now).total_seconds()

    @property
    def rss_bytes(self) -> float | None:
        megabytes = number_of(self.row.stats, "rss_mb")
        return None if megabytes is None else megabytes * 1_000_000

    @property
    def ended(self) -> float | None:
        return number_of(self.row.stats, "jobs_ended")

    @property
    def is_alone(self) -> bool:
        """Whether it runs jobs that may kill it, one at a time."""
        return self.row.role == "worker" and not self.row.queues and self.health == "live"


def number_of(stats: dict[str, Any] | None, name: str) -> float | None:
    found = (stats or {}).get(name)
    return found if isinstance(found, int | float) else None


def meet(
    members: Sequence[Member], running: Sequence[Running], usual_s: Mapping[str, float]
) -> list[Person]:
    """Every process with what it does, in the order given."""
    own: dict[UUID | None, list[Running]] = {}
    for job in running:
        own.setdefault(job.worker_id, []).append(job)
    return [introduce(row, own.get(row.id, []), usual_s) for row in members]


def introduce(row: Member, own: Sequence[Running], usual_s: Mapping[str, float]) -> Person:
    busy = {job.queue: job.jobs for job in own}
    threads = {queue: threads_of(said) for queue, said in row.queues.items()}
    posts = tuple(
        Post(queue, threads.get(queue), busy.get(queue, 0)) for queue in sorted({*threads, *busy})
    )
    tasks = tuple(
        Task(job, (row.now - job.started_at).total_seconds(), usual_s.get(job.kind)) for job in own
    )
    return Person(row, health_of(row), posts, tasks, sum(busy.values()))


def threads_of(said: Any) -> int | None:
    found = said.get("threads") if isinstance(said, dict) else None
    return found if isinstance(found, int) else None


def health_of(row: Member) -> str:
    """A worker whose lease ran out is rescued from; a renewal that is late comes before that."""
    if row.expires_at <= row.now:
        return "dead"
    if row.drain_requested_at is not None:
        return "draining"
    left_s = (row.expires_at - row.now).total_seconds()
    return "late" if left_s < LEASE_S - LATE_S else "live"


def missing(people: Sequence[Person]) -> list[tuple[str, str]]:
    """What nobody does, and what that means."""
    live = {each.row.role for each in people if each.health != "dead"}
    return [said for role, said in NEEDED.items() if role not in live]
