"""Why is this job waiting? Facts in, answers out, the one that decides first. Pure.

The order is the dispatcher's own: what stops everything, what an operator stopped, what limits
hold back, then whose turn it is. Each answer names an obstacle; the job goes when all are gone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlencode
from uuid import UUID

from db.lanes import Limit, Pause
from db.waiting import Blocker, Hold
from pipelines.counting import noun
from workers.dashboard import masks
from workers.dashboard.filtering import quote_name
from workers.dashboard.words import capped, duration

# Counts go no further: more says no more.
AHEAD_MAX = 1_000
BLOCKERS_MAX = 5
UNCLAIMED_S = 1.0
# Leases are renewed every 5 s.
SILENT_S = 8.0
NOBODY = UUID(int=0)
NO_LIMIT = Limit()
UNFINISHED = frozenset({"scheduled", "available", "dispatched", "retryable"})


@dataclass(frozen=True, slots=True)
class Waiter:
    """The job: its row, as far as waiting is concerned. `error` is of its last attempt, `unknown`
    what of it this release does not know.
    """

    id: int
    kind: str
    queue: str
    lane: str
    tenant: UUID | None
    priority: int
    state: str
    run_at: datetime
    blocked: bool
    attempt: int
    dispatched_at: datetime | None
    error: str | None = None
    is_alone: bool = False
    unknown: Literal["", "kind", "queue"] = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """The job's queue: threads of its live workers, what runs, what is in flight, and how much
    may be. `is_loop`: its jobs run on event loops, and threads are slots.
    """

    threads: int = 0
    running: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    is_loop: bool = False

    @property
    def room(self) -> int:
        return self.in_flight_max - self.in_flight

    @property
    def places(self) -> str:
        return "slots" if self.is_loop else "threads"


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """What limits the job's lane: jobs in flight of it, tokens in its bucket, `shared` what its
    queue's fair share leaves it (None: any number).
    """

    limit: Limit = NO_LIMIT
    hold: Hold | None = None
    in_flight: int = 0
    tokens: float | None = None
    shared: float | None = None


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """What its tenant has in flight in this queue, and may have (None: any number)."""

    in_flight: int = 0
    in_flight_max: int | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Ahead:
    """Who goes first, counted up to AHEAD_MAX: jobs of better priority that nothing holds, older
    ones of its own lane, and other tenants of the same priority.
    """

    better: int = 0
    own_lane: int = 0
    tenants: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known; `redis` says what is wrong with it, and is empty where nothing is.
    `silent_s` is how long no dispatcher was heard of, of those that count as alive.
    """

    now: datetime
    job: Waiter
    dispatchers: int = 1
    silent_s: float = 0.0
    redis: str = ""
    pauses: tuple[Pause, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    blockers_open: int = 0
    queue: Queue = Queue()
    lane: LaneFacts = LaneFacts()
    tenant: TenantFacts = TenantFacts()
    ahead: Ahead = Ahead()


@dataclass(frozen=True, slots=True)
class Answer:
    """One obstacle. `links` are (word, address); until_at is when it goes by itself."""

    key: str
    title: str
    detail: str = ""
    until_at: datetime | None = None
    links: tuple[tuple[str, str], ...] = ()


def explain(facts: Facts) -> list[Answer]:
    """Every obstacle, the one that decides first; none for what runs or has ended."""
    state = facts.job.state
    if state not in UNFINISHED:
        return []
    if state == "dispatched":
        return [*find_stops(facts), tell_dispatched(facts)]
    if state in ("scheduled", "retryable"):
        due, stops = list(tell_due(facts)), list(find_stops(facts))
        # What nobody knows is put off again each time that it comes due.
        first = [*stops, *due] if facts.job.unknown else [*due, *stops]
        return [*first, *find_holds(facts)]
    found = [*find_stops(facts), *find_holds(facts), *find_turn(facts)]
    return found or [tell_next(facts)]


def find_stops(facts: Facts) -> Iterator[Answer]:
    """What stops more than this job."""
    if facts.dispatchers == 0:
        yield Answer(
            "no_dispatcher",
            "No dispatcher runs",
            "Nothing leaves the backlog before one is started: avivro dispatcher.",
            links=(("Workers", "/workers"),),
        )
    elif facts.silent_s > SILENT_S:
        yield Answer(
            "silent_dispatcher",
            f"The dispatcher was last heard of {duration(facts.silent_s)} ago",
            "It renews its lease every 5 s: it hangs, or cannot reach Postgres.",
            links=(("Workers", "/workers"),),
        )
    if facts.redis:
        yield Answer(
            "redis",
            "Redis does not take jobs",
            f"{masks.cut(facts.redis)}. Work waits in Postgres and goes on when Redis does.",
        )
    if facts.job.unknown:
        yield tell_unknown(facts.job)
    elif facts.queue.threads == 0:
        yield Answer(
            "no_worker",
            f"No live worker serves the queue {facts.job.queue}",
            f"Start one: avivro worker --queue {facts.job.queue}.",
            links=(("Workers", "/workers"),),
        )
    for pause in facts.pauses:
        yield tell_pause(pause)


def tell_unknown(job: Waiter) -> Answer:
    """Rows may be made by a newer release, or outlive an older one."""
    if job.unknown == "queue":
        return Answer(
            "unknown_queue",
            f"This release has no queue {masks.cut(job.queue, 80)}",
            "No worker of it can serve that queue: a job's queue follows from its kind.",
        )
    return Answer(
        "unknown_kind",
        f"This release does not know the kind {masks.cut(job.kind, 80)}",
        "Its workers give such jobs back every second, and use up none of their tries: it waits "
        "for workers of a release that knows it.",
        links=(("Workers", "/workers"),),
    )


def tell_pause(pause: Pause) -> Answer:
    who = f" by {masks.cut(pause.paused_by, 80)}" if pause.paused_by else ""
    why = f": {masks.cut(pause.reason)}" if pause.reason else "; nobody said why"
    targets = {"tenant": f"/tenants/{pause.name}", "queue": "/queues", "kind": "/queues"}
    return Answer(
        f"paused_{pause.scope}",
        f"The {pause.scope} {masks.cut(pause.name, 80)} is paused",
        f"Since {pause.paused_at:%Y-%m-%d %H:%M} UTC{who}{why}.",
        links=((f"The {pause.scope}", targets[pause.scope]),),
    )


def tell_due(facts: Facts) -> Iterator[Answer]:
    """A job whose time has not come, or that waits for others: it is not even in the backlog."""
    job = facts.job
    if job.blocked:
        some = ", ".join(f"{each.kind} {each.id}" for each in facts.blockers[:BLOCKERS_MAX])
        yield Answer(
            "blocked",
            f"It waits for {capped(facts.blockers_open, AHEAD_MAX)} unfinished"
            f" {noun(facts.blockers_open, 'job')}",
            f"{some}." if some else "All have ended: the next turn of the dispatcher lets it go.",
            links=tuple((str(each.id), f"/jobs/{each.id}") for each in facts.blockers),
        )
        return
    left_s = (job.run_at - facts.now).total_seconds()
    if left_s <= 0:
        yield Answer(
            "due", f"It is due since {duration(-left_s)}", "The dispatcher's next turn takes it up."
        )
    elif job.state == "retryable":
        error = f": {masks.cut(job.error).rstrip('.')}" if job.error else ""
        yield Answer(
            "backoff",
            f"It rests {duration(left_s)} more before it is tried again",
            f"Attempt {job.attempt} failed{error}.",
            until_at=job.run_at,
        )
    else:
        yield Answer(
            "scheduled",
            f"It is due in {duration(left_s)}",
            "It was put off to that time.",
            until_at=job.run_at,
        )


def find_holds(facts: Facts) -> Iterator[Answer]:
    """What limits its lane and its tenant."""
    lane = facts.lane
    name = masks.cut(facts.job.lane, 120)
    if lane.hold is not None and lane.in_flight >= lane.hold.cap:
        reason = f" {masks.cut(lane.hold.reason)}." if lane.hold.reason else ""
        yield Answer(
            "held",
            f"{name} is held back"
            if lane.hold.cap == 0
            else f"{name} goes {lane.hold.cap} at a time",
            f"{lane.in_flight} of {lane.hold.cap} in flight.{reason}{behind(facts)}",
            until_at=lane.hold.until_at,
        )
    if lane.limit.cap is not None and lane.in_flight >= lane.limit.cap:
        yield Answer(
            "capped",
            f"{name} has {lane.in_flight} of at most {lane.limit.cap} jobs in flight",
            f"One of them must end first.{behind(facts)}",
        )
    if lane.limit.rate_per_s is not None and lane.tokens is not None and lane.tokens < 1:
        wait_s = (1 - lane.tokens) / lane.limit.rate_per_s
        yield Answer(
            "rate",
            f"{name} starts {lane.limit.rate_per_s:g} jobs a second",
            f"Its bucket is empty; the next token comes in {duration(wait_s)}.{behind(facts)}",
        )
    yield from find_shares(facts)


def find_shares(facts: Facts) -> Iterator[Answer]:
    tenant, lane = facts.tenant, facts.lane
    if tenant.in_flight_max is not None and tenant.in_flight >= tenant.in_flight_max:
        yield Answer(
            "tenant_full",
            f"Its tenant has {tenant.in_flight} of at most {tenant.in_flight_max} jobs in flight",
            f"The other {facts.queue.places} of {facts.job.queue} stay free for other tenants.",
            links=tenant_links(facts.job),
        )
    if lane.shared is not None and lane.shared < 1:
        yield Answer(
            "slots_shared",
            f"{masks.cut(facts.job.lane, 120)} has its share of the slots",
            f"{lane.in_flight} of its jobs are in flight, and slow ones leave room for others.",
        )


def find_turn(facts: Facts) -> Iterator[Answer]:
    """Whose turn it is, where there is less room than those who go first."""
    queue, ahead, job = facts.queue, facts.ahead, facts.job
    if queue.threads == 0 or ahead.better + ahead.own_lane + ahead.tenants < queue.room:
        return
    if queue.room <= 0:
        yield Answer(
            "full",
            f"All places of {job.queue} are taken",
            f"{queue.running} jobs run on {queue.threads} {queue.places}; {queue.in_flight} are "
            f"in flight, {queue.in_flight_max} may be.",
            links=((f"What runs in {job.queue}", running_in(job.queue)),),
        )
    if ahead.better:
        yield Answer(
            "priority",
            f"{jobs(ahead.better)} of better priority first",
            f"Its priority is {job.priority}; a lower number runs first.",
        )
    if ahead.own_lane:
        yield Answer(
            "lane",
            f"{jobs(ahead.own_lane)} of its own lane first",
            f"Older ones of {masks.cut(job.lane, 120)}, of the same tenant and priority.",
        )
    if ahead.tenants:
        yield Answer(
            "turns",
            f"{capped(ahead.tenants, AHEAD_MAX)} other tenants take turns with its own",
            f"Its tenant's weight is {facts.tenant.weight:g}.",
            links=tenant_links(job),
        )


def jobs(number: int) -> str:
    return "1 job goes" if number == 1 else f"{capped(number, AHEAD_MAX)} jobs go"


def behind(facts: Facts) -> str:
    """What a limit says of its own lane's order."""
    number = facts.ahead.own_lane
    return f" {jobs(number)} of it before this one." if number else ""


def tell_dispatched(facts: Facts) -> Answer:
    """On the runway, and nobody has claimed it yet."""
    job, queue = facts.job, facts.queue
    since = job.dispatched_at or facts.now
    waited_s = (facts.now - since).total_seconds()
    if job.is_alone:
        return Answer(
            "alone",
            "It waits to run alone",
            "Processes died while it ran, so it gets one of its own, after others of that sort.",
        )
    if queue.threads and queue.running >= queue.threads:
        return Answer(
            "busy",
            f"All {queue.threads} {queue.places} of {job.queue} are busy",
            f"It lies on the runway since {duration(waited_s)}; the next free one takes it.",
            links=((f"What runs in {job.queue}", running_in(job.queue)),),
        )
    detail = "A worker claims it within milliseconds."
    if waited_s > UNCLAIMED_S:
        detail = "What nobody claims goes back to the backlog after a few seconds."
    return Answer("unclaimed", f"Dispatched {duration(waited_s)} ago, not yet claimed", detail)


def tell_next(facts: Facts) -> Answer:
    return Answer(
        "next",
        "Nothing holds it back",
        f"The dispatcher's next turn takes it up: {max(0, facts.queue.room)} places are free.",
    )


def running_in(queue: str) -> str:
    return f"/jobs?{urlencode({'q': f'queue:{quote_name(queue)} state:running'})}"


def tenant_links(job: Waiter) -> tuple[tuple[str, str], ...]:
    return () if job.tenant is None else (("The tenant", f"/tenants/{job.tenant}"),)
