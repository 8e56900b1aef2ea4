"""Statements about jobs; see jobs.sql. No function commits."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row, dict_row
from psycopg.types.json import Jsonb

from db.pool import Connection
from db.statements import load

SQL = load("jobs")

ERRORS_KEPT = 25
# So much suspicion, and a job runs alone in a process. A death that its parent saw counts 2, but
# 1 in a queue of which a process runs hundreds at once: there, it is nobody's fault most often,
# and hundreds of jobs that must run alone would take hours.
ALONE_FROM = 2
ALONE_FROM_IN_CROWD = 5


@dataclass(frozen=True, slots=True)
class Ticket:
    """What Redis carries of a job: enough to claim it once.

    `alone` says which list it lies in: a job that may kill its process runs in one of its own.
    """

    job_id: int
    seq: int
    alone: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job as its worker gets it; `attempt` is the fence for all it writes."""

    id: int
    kind: str
    queue: str
    tenant: UUID | None
    args: dict[str, Any]
    attempt: int
    max_attempts: int
    waited: dict[str, int] | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """How an attempt ended. `error` is {attempt, error, trace}; the database adds times."""

    job_id: int
    attempt: int
    state: str
    delay_s: float = 0.0
    error: dict[str, Any] | None = None
    spared: bool = False
    result: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A row of worker.jobs."""

    id: int
    kind: str
    queue: str
    tenant: UUID | None
    priority: int
    state: str
    args: dict[str, Any]
    unique_key: str | None
    limit_key: str | None
    run_at: datetime
    attempt: int
    max_attempts: int
    blocked: bool
    progress: dict[str, Any] | None
    result: dict[str, Any] | None
    waited: dict[str, int] | None
    errors: list[dict[str, Any]]
    worker_id: UUID | None
    cancel_requested_at: datetime | None
    created_at: datetime
    dispatched_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None


def enqueue(
    conn: Connection,
    kind: str,
    args: dict[str, Any],
    *,
    tenant: UUID | None = None,
    unique_key: str | None = None,
    run_at: datetime | None = None,
    priority: int = 0,
    on_conflict: str = "keep",
) -> int:
    """Insert a job, or find its unfinished twin of the same kind and unique_key; its id."""
    row = conn.execute(
        SQL.enqueue,
        {
            "kind": kind,
            "args": Jsonb(args),
            "tenant": tenant,
            "unique_key": unique_key,
            "run_at": run_at,
            "priority": priority,
            "on_conflict": on_conflict,
        },
    ).fetchone()
    assert row is not None
    return int(row[0])


def enqueue_many(
    conn: Connection,
    kind: str,
    args: Sequence[dict[str, Any]],
    *,
    tenant: UUID | None = None,
    run_at: datetime | None = None,
    priority: int = 0,
) -> list[int]:
    """Insert jobs of one kind in one statement; their ids, in order."""
    row = conn.execute(
        SQL.enqueue_many,
        {
            "kind": kind,
            "args": [Jsonb(values) for values in args],
            "tenant": tenant,
            "run_at": run_at,
            "priority": priority,
        },
    ).fetchone()
    assert row is not None
    return list(row[0])


def read_clock(conn: Connection) -> datetime:
    """When this transaction began, by the database's clock."""
    row = conn.execute(SQL.read_clock).fetchone()
    assert row is not None
    began_at: datetime = row[0]
    return began_at


def copy_jobs(conn: Connection, rows: Iterable[Sequence[Any]]) -> int:
    """Insert rows of (kind, queue, tenant, priority, state, args as JSON text, limit_key, run_at,
    max_attempts) by COPY; how many there were. Checks nothing: the caller did.
    """
    with conn.cursor() as cursor:
        with cursor.copy(SQL.copy_jobs) as copy:
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount


def list_kinds(conn: Connection) -> list[dict[str, Any]]:
    return conn.cursor(row_factory=dict_row).execute(SQL.list_kinds).fetchall()


def promote_due(conn: Connection, *, rows_max: int) -> int:
    return conn.execute(SQL.promote_due, {"rows_max": rows_max}).rowcount


def next_due_s(conn: Connection) -> float | None:
    row = conn.execute(SQL.next_due_s).fetchone()
    return None if row is None else row[0]


def plan_by_key(conn: Connection) -> None:
    """For this transaction: let batched statements probe the primary key row by row.

    Limits idling, too.
    """
    conn.execute(SQL.plan_by_key)


def begin_turn(conn: Connection) -> UUID:
    """Bound this transaction's plans and its idling; the epoch that Redis must agree on."""
    row = conn.execute(SQL.begin_turn).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def limit_idling(conn: Connection) -> None:
    """For this transaction: it ends, and its locks with it, when we freeze in the middle."""
    conn.execute(SQL.limit_idling)


def claim_jobs(conn: Connection, tickets: Sequence[Ticket], *, worker_id: UUID) -> list[Claimed]:
    """Take the jobs of these tickets, in the tickets' order; those not to be had are left out."""
    return read_claimed(conn, SQL.claim_jobs, tickets, worker_id)


def adopt_jobs(conn: Connection, tickets: Sequence[Ticket], *, worker_id: UUID) -> list[Claimed]:
    """What an earlier claim_jobs took for this process, whose answer was lost on the way."""
    return read_claimed(conn, SQL.adopt_jobs, tickets, worker_id)


def read_claimed(
    conn: Connection, statement: bytes, tickets: Sequence[Ticket], worker_id: UUID
) -> list[Claimed]:
    rows = conn.execute(
        statement,
        {
            "ids": [ticket.job_id for ticket in tickets],
            "seqs": [ticket.seq for ticket in tickets],
            "worker_id": worker_id,
        },
    ).fetchall()
    claimed = {row[0]: Claimed(*row) for row in rows}
    # Two tickets of one job may lie in a batch, an old dispatch and the new one: it runs once.
    return [claimed.pop(t.job_id) for t in tickets if t.job_id in claimed]


def finish_jobs(conn: Connection, finishes: Sequence[Finish]) -> dict[int, str]:
    """Store how attempts ended; the new state by job id. A lost attempt is left out.

    Rows are locked in the order of their ids, as everywhere.
    """
    finishes = sorted(finishes, key=lambda finish: finish.job_id)
    rows = conn.execute(
        SQL.finish_jobs,
        {
            "ids": [f.job_id for f in finishes],
            "attempts": [f.attempt for f in finishes],
            "states": [f.state for f in finishes],
            "delays_s": [f.delay_s for f in finishes],
            "errors": [None if f.error is None else Jsonb(f.error) for f in finishes],
            "spared": [f.spared for f in finishes],
            "results": [None if f.result is None else Jsonb(f.result) for f in finishes],
            "errors_kept": ERRORS_KEPT,
        },
    ).fetchall()
    return dict(rows)


def cancel_jobs(conn: Connection, ids: Sequence[int], *, reason: str) -> dict[int, str]:
    """Cancel unfinished jobs; the state each is in by then, by id.

    `running` means that it was asked to stop. Finished and unknown ones are left out.
    """
    plan_by_key(conn)
    return dict(conn.execute(SQL.cancel_jobs, {"ids": list(ids), "reason": reason}).fetchall())


def list_cancel_requests(
    conn: Connection, *, worker_id: UUID, queues: Sequence[str]
) -> frozenset[tuple[int, int]]:
    """(id, attempt) of the jobs that this process runs and was asked to stop."""
    arguments = {"worker_id": worker_id, "queues": list(queues)}
    return frozenset(conn.execute(SQL.list_cancel_requests, arguments).fetchall())


def hold(conn: Connection, *, job_id: int, attempt: int) -> bool:
    """Lock the job's row against any finish or rescue; False when this attempt lost it."""
    found = conn.execute(SQL.hold, {"job_id": job_id, "attempt": attempt}).fetchone()
    return found is not None


def report_progress(conn: Connection, *, job_id: int, attempt: int, progress: Jsonb) -> None:
    conn.execute(SQL.report_progress, {"job_id": job_id, "attempt": attempt, "progress": progress})


def rescue_running(
    conn: Connection, *, rows_max: int, crowded: Collection[str] = ()
) -> list[tuple[int, str, str, int]]:
    """Take back the jobs of dead processes: (id, kind, new state, attempt) of each.

    `crowded` are queues of which a process runs so many at once that hardly any is to blame.
    """
    limits = {
        "rows_max": rows_max,
        "errors_kept": ERRORS_KEPT,
        "crowded": list(crowded),
        "alone_from": ALONE_FROM,
        "alone_from_in_crowd": ALONE_FROM_IN_CROWD,
    }
    return conn.execute(SQL.rescue_running, limits).fetchall()


def forget_dead_processes(conn: Connection) -> None:
    conn.execute(SQL.forget_dead_processes)


def list_stale_dispatches(
    conn: Connection, *, age_s: float, rows_max: int
) -> list[tuple[Ticket, str]]:
    """Tickets (and their queue) that were dispatched over `age_s` ago and never claimed."""
    rows = conn.execute(SQL.list_stale_dispatches, {"age_s": age_s, "rows_max": rows_max})
    return [(Ticket(job_id, seq), queue) for job_id, seq, queue in rows.fetchall()]


def recall_jobs(conn: Connection, tickets: Sequence[Ticket]) -> int:
    """Make dispatched jobs available again; how many there were."""
    plan_by_key(conn)
    return conn.execute(
        SQL.recall_jobs,
        {"ids": [t.job_id for t in tickets], "seqs": [t.seq for t in tickets]},
    ).rowcount


def recall_old_epochs(conn: Connection, *, epoch: UUID) -> int:
    return conn.execute(SQL.recall_old_epochs, {"epoch": epoch}).rowcount


def read_epoch(conn: Connection) -> UUID:
    row = conn.execute(SQL.read_epoch).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def renew_epoch(conn: Connection, *, lost: UUID) -> bool:
    """False when another dispatcher has renewed it already."""
    return conn.execute(SQL.renew_epoch, {"lost": lost}).rowcount == 1


def set_idle(conn: Connection, *, idle: bool) -> None:
    conn.execute(SQL.set_idle, {"idle": idle})


def get_job(conn: Connection, job_id: int) -> Job | None:
    cursor = conn.cursor(row_factory=class_row(Job))
    return cursor.execute(SQL.get_job, {"job_id": job_id}).fetchone()


def list_jobs(
    conn: Connection,
    *,
    state: str | None = None,
    kind: str | None = None,
    queue: str | None = None,
    rows_max: int = 50,
) -> list[Job]:
    cursor = conn.cursor(row_factory=class_row(Job))
    filters = {"state": state, "kind": kind, "queue": queue, "rows_max": rows_max}
    return cursor.execute(SQL.list_jobs, filters).fetchall()


def retry_jobs(conn: Connection, ids: Sequence[int]) -> list[int]:
    """Run finished or waiting jobs again now; the ids that were put back."""
    plan_by_key(conn)
    return [row[0] for row in conn.execute(SQL.retry_jobs, {"ids": list(ids)}).fetchall()]


def append_effect(conn: Connection, *, effect: str, job_id: int, attempt: int) -> None:
    """Leave the probe's mark, once per job however often it runs."""
    conn.execute(SQL.append_effect, {"effect": effect, "job_id": job_id, "attempt": attempt})
