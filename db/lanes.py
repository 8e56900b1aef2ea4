"""Statements about lanes, what holds them back, and dealing jobs out; see lanes.sql."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from db.jobs import ALONE_FROM, Ticket
from db.pool import Connection
from db.statements import load

SQL = load("lanes")

PRIORITY_MIN = -2_147_483_648


@dataclass(frozen=True, slots=True)
class Lane:
    """What is dealt to in turn: the jobs of one tenant that share a cap and a rate."""

    priority: int
    tenant: UUID
    lane: str

    @property
    def kind(self) -> str:
        return self.lane.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Dispatched:
    """A job that was just dispatched, `lag_s` after its time had come."""

    ticket: Ticket
    kind: str
    lane: Lane
    run_at: datetime
    lag_s: float


@dataclass(frozen=True, slots=True)
class Limit:
    """What a kind allows each of its lanes: jobs in flight, and starts a second."""

    cap: int | None = None
    rate_per_s: float | None = None
    burst: int = 1


@dataclass(frozen=True, slots=True)
class Pause:
    """A row of worker.pauses; `scope` is queue, kind or tenant."""

    scope: str
    name: str
    reason: str | None
    paused_at: datetime
    paused_by: str | None = None


def take_queues(conn: Connection, queues: Sequence[str]) -> dict[str, tuple[int, float | None]]:
    """Those of these queues that have live workers and no other dispatcher; ours until the commit.

    By queue: threads of all its workers, and the time that a thread takes for a job in ms.
    """
    rows = conn.execute(SQL.take_queues, {"queues": list(queues)}).fetchall()
    return {queue: (threads, job_ms) for queue, threads, job_ms in rows}


def count_in_flight(conn: Connection) -> list[tuple[str, UUID, str, int, bool]]:
    """(queue, tenant, lane, jobs dispatched or running, whether one has run for over a second).

    A tenant of zeros stands for none.
    """
    return conn.execute(SQL.count_in_flight).fetchall()


def list_lanes(
    conn: Connection, *, queue: str, after: Lane | None = None, lanes_max: int
) -> list[Lane]:
    """Lanes of the queue that have available jobs, by priority, from behind `after` on."""
    start = after or Lane(PRIORITY_MIN, UUID(int=0), "")
    rows = conn.execute(
        SQL.list_lanes,
        {
            "queue": queue,
            "priority": start.priority,
            "tenant": start.tenant,
            "lane": start.lane,
            "lanes_max": lanes_max,
        },
    ).fetchall()
    return [Lane(*row) for row in rows]


def dispatch_jobs(
    conn: Connection,
    *,
    queue: str,
    quotas: Mapping[Lane, int],
    epoch: UUID,
    alone_from: int = ALONE_FROM,
) -> list[Dispatched]:
    """Mark the oldest jobs of each lane as dispatched, up to its quota; in no order.

    Those whose suspicion is `alone_from` or more run alone.
    """
    rows = conn.execute(
        SQL.dispatch_jobs,
        {
            "queue": queue,
            "priorities": [lane.priority for lane in quotas],
            "tenants": [lane.tenant for lane in quotas],
            "lanes": [lane.lane for lane in quotas],
            "quotas": list(quotas.values()),
            "epoch": epoch,
            "alone_from": alone_from,
        },
    ).fetchall()
    return [
        Dispatched(Ticket(row[0], row[1], row[2]), row[3], Lane(*row[4:7]), row[7], row[8])
        for row in rows
    ]


def list_limits(conn: Connection) -> dict[str, Limit]:
    """By kind, for those that hold their lanes back."""
    rows = conn.execute(SQL.list_limits).fetchall()
    return {kind: Limit(cap, rate_per_s, burst) for kind, cap, rate_per_s, burst in rows}


def set_weight(conn: Connection, tenant: UUID, weight: float) -> None:
    """Dispatchers deal by it within a few seconds."""
    conn.execute(SQL.set_weight, {"tenant": tenant, "weight": weight})


def list_weights(conn: Connection) -> dict[UUID, float]:
    """Shares of tenants that have one other than 1."""
    return dict(conn.execute(SQL.list_weights).fetchall())


def list_holds(conn: Connection, lanes: Sequence[str]) -> dict[str, int]:
    """By name, how many jobs in flight those of these lanes may have that are held back now."""
    return dict(conn.execute(SQL.list_holds, {"lanes": list(lanes)}).fetchall())


def fill_buckets(conn: Connection, rates_per_s: Mapping[str, float]) -> dict[str, float]:
    """Tokens by lane, refilled until now and not yet cut to the burst; no entry: full."""
    return dict(
        conn.execute(
            SQL.fill_buckets,
            {"lanes": list(rates_per_s), "rates_per_s": list(rates_per_s.values())},
        ).fetchall()
    )


def store_buckets(conn: Connection, tokens: Mapping[str, float]) -> None:
    """What is left by lane, as of now."""
    conn.execute(SQL.store_buckets, {"lanes": list(tokens), "tokens": list(tokens.values())})


def list_pauses(conn: Connection) -> list[Pause]:
    return conn.cursor(row_factory=class_row(Pause)).execute(SQL.list_pauses).fetchall()


def pause(
    conn: Connection,
    *,
    scope: str,
    name: str,
    reason: str | None = None,
    paused_by: str | None = None,
) -> int | None:
    """Stop a queue, kind or tenant; how many jobs came back from the runway.

    What runs goes on. None where the same had paused it before for the same reason.
    """
    conn.execute(SQL.lock_queues)
    named = {"scope": scope, "name": name, "reason": reason, "paused_by": paused_by}
    changed = conn.execute(SQL.pause, named).rowcount > 0
    recalled = conn.execute(SQL.recall_paused).rowcount
    return recalled if changed or recalled else None


def resume(conn: Connection, *, scope: str, name: str) -> bool:
    """Let it go on; False when it was not paused."""
    resumed = conn.execute(SQL.resume, {"scope": scope, "name": name}).rowcount > 0
    conn.execute(SQL.wake)
    return resumed
