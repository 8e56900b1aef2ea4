"""Reads what a job waits for, with the dispatcher's own statements and rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from db import lanes, processes, waiting
from db.job_page import JobRow
from db.jobs import ALONE_FROM, ALONE_FROM_IN_CROWD
from db.lanes import Lane
from db.pool import Connection
from workers import dealing
from workers.dashboard.waiting import (
    AHEAD_MAX,
    BLOCKERS_MAX,
    NOBODY,
    UNFINISHED,
    Ahead,
    Facts,
    LaneFacts,
    Queue,
    TenantFacts,
    Waiter,
)
from workers.dealing import InFlight, Rules
from workers.dispatcher import LANES_MAX
from workers.jobs import KINDS, LONG_QUEUES, LOOP_QUEUES, QUEUES
from workers.load import runway_jobs
from workers.runway import EPOCH_KEY, connect, translated
from workers.runway_errors import RunwayDown
from workers.sharing import share_slots

REDIS_S_MAX = 1.0


@dataclass(frozen=True, slots=True)
class Peek:
    """What Redis answered: the epoch it holds, None where nobody asked it, or trouble."""

    epoch: str | None
    trouble: str


def read_facts(conn: Connection, row: JobRow, *, redis: Peek) -> Facts:
    """Nothing is looked up for a job that does not wait."""
    job = waiter(row)
    if job.state not in UNFINISHED:
        return Facts(row.now, job)
    busy = waiting.count_busy(conn, job.queue)
    threads, job_ms = processes.list_capacity(conn).get(job.queue, (0, None))
    is_loop = job.queue in LOOP_QUEUES
    flying = count_flying(conn, job.queue, threads=threads)
    queue = Queue(
        threads=threads,
        running=busy.running,
        in_flight=flying.jobs,
        in_flight_max=threads if is_loop else runway_jobs(threads, job_ms),
        is_loop=is_loop,
    )
    rules = read_rules(conn)
    lane = Lane(job.priority, job.tenant or NOBODY, job.lane)
    found = [lane, *lanes.list_lanes(conn, queue=job.queue, lanes_max=LANES_MAX)]
    found = list(dict.fromkeys(each for each in found if rules.lets(each)))
    return Facts(
        now=row.now,
        job=job,
        dispatchers=busy.dispatchers,
        silent_s=busy.silent_s,
        redis=judge_redis(redis, busy.epoch),
        pauses=read_pauses(conn, job),
        blockers=tuple(waiting.list_blockers(conn, job.id, rows_max=BLOCKERS_MAX)),
        blockers_open=waiting.count_blockers(conn, job.id, rows_max=AHEAD_MAX + 1),
        queue=queue,
        lane=read_lane(conn, lane, found, rules, flying, slots=threads if is_loop else None),
        tenant=TenantFacts(
            flying.by_tenant.get(lane.tenant, 0),
            flying.tenant_max,
            rules.weights.get(lane.tenant, 1.0),
        ),
        ahead=count_ahead(conn, row, lane, found, rules, flying),
    )


def count_flying(conn: Connection, queue: str, *, threads: int) -> InFlight:
    is_shared = queue in LONG_QUEUES and threads > 0
    return InFlight.of(queue, lanes.count_in_flight(conn), threads=threads if is_shared else None)


def waiter(row: JobRow) -> Waiter:
    alone_from = ALONE_FROM_IN_CROWD if row.queue in LOOP_QUEUES else ALONE_FROM
    return Waiter(
        id=row.id,
        kind=row.kind,
        queue=row.queue,
        lane=row.lane,
        tenant=row.tenant,
        priority=row.priority,
        state=row.state,
        run_at=row.run_at,
        blocked=row.blocked,
        attempt=row.attempt,
        dispatched_at=row.dispatched_at,
        error=row.errors[-1]["error"] if row.errors else None,
        is_alone=row.suspicion >= alone_from,
        unknown="kind" if row.kind not in KINDS else "queue" if row.queue not in QUEUES else "",
    )


def read_rules(conn: Connection) -> Rules:
    pauses = frozenset((pause.scope, pause.name) for pause in lanes.list_pauses(conn))
    return Rules(lanes.list_limits(conn), lanes.list_weights(conn), pauses)


def read_pauses(conn: Connection, job: Waiter) -> tuple[lanes.Pause, ...]:
    """Those that hold this job: the widest first."""
    names = {"queue": job.queue, "kind": job.kind, "tenant": str(job.tenant or NOBODY)}
    found = [each for each in lanes.list_pauses(conn) if names.get(each.scope) == each.name]
    return tuple(sorted(found, key=lambda each: list(names).index(each.scope)))


def read_lane(
    conn: Connection,
    lane: Lane,
    found: Sequence[Lane],
    rules: Rules,
    flying: InFlight,
    *,
    slots: int | None,
) -> LaneFacts:
    limit = rules.limits.get(lane.kind, dealing.NO_LIMIT)
    tokens: float | None = None
    if limit.rate_per_s is not None:
        filled = lanes.fill_buckets(conn, {lane.lane: limit.rate_per_s})
        tokens = min(limit.burst, filled.get(lane.lane, limit.burst))
    shared: float | None = None
    if slots:
        quick = {each.lane for each in found} - flying.late
        fair = share_slots(found, {}, flying, slots=slots, quick=quick, slow=flying.late)
        shared = fair.get(lane.lane)
    hold = waiting.read_hold(conn, lane.lane)
    return LaneFacts(limit, hold, flying.by_lane.get(lane.lane, 0), tokens, shared)


def count_ahead(
    conn: Connection,
    row: JobRow,
    lane: Lane,
    found: Sequence[Lane],
    rules: Rules,
    flying: InFlight,
) -> Ahead:
    """What is held back itself is ahead of nobody."""
    keyed = [each.lane for each in found if ":" in each.lane]
    tokens = lanes.fill_buckets(
        conn,
        {each.lane: rules.rated[each.kind].rate_per_s or 0.0 for each in found
         if each.kind in rules.rated},
    )  # fmt: skip
    left = dealing.allowances(
        found,
        rules.limits,
        in_flight=flying.by_lane,
        tokens=tokens,
        holds=lanes.list_holds(conn, keyed) if keyed else {},
    )
    tenants_left = flying.tenants_left(found)
    free = [
        each
        for each in found
        if left.get(each.lane, 1) >= 1 and tenants_left.get(each.tenant, 1) >= 1
    ]
    better = [each for each in free if each.priority < lane.priority]
    others = {each.tenant for each in free if each.priority == lane.priority} - {lane.tenant}
    rows_max = AHEAD_MAX + 1
    return Ahead(
        better=waiting.count_lanes_ahead(conn, row.queue, better, rows_max=rows_max)
        if better
        else 0,
        own_lane=waiting.count_lane_before(
            conn, row.queue, lane, run_at=row.run_at, job_id=row.id, rows_max=rows_max
        ),
        tenants=len(others),
    )


def peek(url: str | None) -> Peek:
    """Ask Redis which epoch it holds: before a transaction is begun, for it may take its time."""
    if url is None:
        return Peek(None, "")
    client = connect(url, timeout_s=REDIS_S_MAX)
    try:
        with translated():
            held = cast(bytes | None, client.get(EPOCH_KEY))
    except RunwayDown as error:
        return Peek(None, f"Redis does not answer: {error}")
    finally:
        client.close()
    return Peek((held or b"").decode(errors="replace"), "")


def judge_redis(seen: Peek, epoch: UUID) -> str:
    """What is wrong with the runway, in words; empty where it takes jobs."""
    if seen.trouble or seen.epoch in (None, str(epoch)):
        return seen.trouble
    return "Redis lost its memory; the dispatcher sends anew what lay in it"
