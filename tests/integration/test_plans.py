"""Plans of the queue's statements on a million rows, with statistics that know nothing of them.

Each is run as the product runs it, and Postgres itself tells what it did (auto_explain): no
sequential scan of worker.jobs, and no step that reads more rows than the statement is about.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from db import jobs, lanes, metrics, retention, waits
from db.embedded import Services
from db.jobs import Finish, Ticket
from db.lanes import Lane
from db.pool import Connection, connect
from tests.conftest import fresh_database

FINISHED = 900_000
UNFINISHED = 100_000
DISPATCHED = 10_000
RUNNING = 5_000
KEYED = 10_000
BATCH = 200
LANES = 400
EPOCH = UUID(int=7)
WORKERS = [UUID(int=number) for number in range(1, 6)]

# The table is loaded without its indexes and its log: the plans are the same.
PREPARE = """
ALTER TABLE worker.jobs SET UNLOGGED;
ALTER TABLE worker.jobs SET (autovacuum_enabled = false);
ALTER TABLE worker.waits SET (autovacuum_enabled = false);
ALTER TABLE worker.ends SET (autovacuum_enabled = false);
UPDATE worker.runway SET epoch = '00000000-0000-0000-0000-000000000007';
"""
INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'worker' AND tablename = 'jobs' AND indexname <> 'jobs_pkey'
"""
LOAD_FINISHED = """
INSERT INTO worker.jobs (kind, queue, tenant, state, attempt, max_attempts, unique_key,
                         dispatch_seq, awaited, finished_at)
SELECT 'probe', 'default', lpad(to_hex(i %% 200), 32, '0')::uuid, 'completed', 1, 10,
       CASE WHEN i %% 10 = 0 THEN 'k' || i %% 1000 END, 1, i %% 10 = 0,
       now() - i * interval '0.9 s'
FROM generate_series(1, %s) AS i
"""
LOAD_BACKLOG = """
INSERT INTO worker.jobs (kind, queue, tenant, priority, max_attempts, unique_key, dispatch_epoch)
SELECT 'probe', 'default', lpad(to_hex(i %% 200), 32, '0')::uuid, i / 200 %% 2, 10,
       CASE WHEN i %% 10 = 0 THEN 'u' || i END, '00000000-0000-0000-0000-000000000007'
FROM generate_series(1, %s) AS i
"""
GATHER = """
UPDATE worker.jobs SET state = 'available', blocked = false WHERE id > %s AND id %% 100 < 30
"""
SCATTER = """
UPDATE worker.jobs
SET state = CASE WHEN id %% 100 < 10 THEN 'dispatched' WHEN id %% 100 < 15 THEN 'running'
                 WHEN id %% 100 < 23 THEN 'scheduled' WHEN id %% 100 < 27 THEN 'retryable'
                 WHEN id %% 100 < 29 THEN 'discarded' ELSE 'cancelled' END,
    attempt = 1, dispatch_seq = 1, dispatched_at = now() - interval '1 min',
    worker_id = lpad(to_hex(1 + id / 100 %% 5), 32, '0')::uuid, blocked = id %% 100 = 22,
    run_at = now() + (id %% 7 - 3) * interval '1 h',
    cancel_requested_at = CASE WHEN id %% 2000 = 12 THEN now() END,
    finished_at = CASE WHEN id %% 100 IN (27, 28, 29) THEN now() - interval '100 days' END
WHERE id > %s AND id %% 100 < 30
"""
# The last worker of WORKERS has no row: it is dead.
PROCESSES = """
INSERT INTO worker.processes (id, role, host, pid, expires_at)
SELECT lpad(to_hex(i), 32, '0')::uuid, 'worker', 'here', i, now() + interval '1 day'
FROM generate_series(1, 4) AS i
"""
WAITS = """
INSERT INTO worker.waits (job_id, waits_for)
SELECT 900022 + i / 10 * 100, i * 10 + 10 FROM generate_series(0, 9999) AS i;
INSERT INTO worker.ends (job_id) SELECT i * 10 + 10 FROM generate_series(0, 999) AS i;
"""
FORGET_STATISTICS = """
DELETE FROM pg_statistic WHERE starelid = 'worker.jobs'::regclass;
UPDATE pg_class SET reltuples = -1, relpages = 0, relallvisible = 0
WHERE oid = 'worker.jobs'::regclass
"""
EXPLAIN = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_analyze = on;
SET auto_explain.log_timing = off;
SET auto_explain.log_format = json;
SET client_min_messages = log;
"""


@pytest.fixture(scope="module")
def million(services: Services, template: str) -> Iterator[str]:
    """A database of a million jobs, analyzed when all of them were finished."""
    with fresh_database(services, template=template) as url:
        with connect(url, autocommit=True) as conn:
            load(conn)
        yield url


@pytest.fixture(scope="module", params=["quiet", "backlog", "none"])
def stale(request: pytest.FixtureRequest, million: str) -> str:
    """Statistics from a quiet hour; from before a backlog was dispatched; none at all."""
    with connect(million, autocommit=True) as conn:
        match request.param:
            case "backlog":
                conn.execute(GATHER, (FINISHED,))
                conn.execute("ANALYZE worker.jobs")
                conn.execute(SCATTER, (FINISHED,))
            case "none":
                conn.execute(FORGET_STATISTICS)
    return million


@pytest.fixture
def conn(stale: str) -> Iterator[Connection]:
    """Of a transaction that is rolled back."""
    with connect(stale) as opened:
        opened.execute(EXPLAIN)
        yield opened
        opened.rollback()


def load(conn: Connection) -> None:
    conn.execute(PREPARE)
    conn.execute("SET maintenance_work_mem = '256MB'")
    indexes = conn.execute(INDEXES).fetchall()
    for name, _ in indexes:
        conn.execute(f"DROP INDEX worker.{name}".encode())
    conn.execute(LOAD_FINISHED, (FINISHED,))
    conn.execute("ANALYZE worker.jobs")
    conn.execute(LOAD_BACKLOG, (UNFINISHED,))
    conn.execute(SCATTER, (FINISHED,))
    for _, definition in indexes:
        conn.execute(definition.encode())
    conn.execute(PROCESSES)
    conn.execute(WAITS)


@dataclass(frozen=True, slots=True)
class Step:
    """A scan of a table, as it was done. `rows` are those it read, of all its loops."""

    how: str
    table: str
    index: str
    rows: float


def steps(plan: dict[str, Any]) -> Iterator[Step]:
    if "Relation Name" in plan and plan["Node Type"] != "ModifyTable":
        removed = sum(plan.get(f"Rows Removed by {why}", 0) for why in ("Filter", "Index Recheck"))
        rows = (plan["Actual Rows"] + removed) * plan["Actual Loops"]
        yield Step(plan["Node Type"], plan["Relation Name"], plan.get("Index Name", ""), rows)
    for part in plan.get("Plans", ()):
        yield from steps(part)


def watch(conn: Connection, act: Callable[[Connection], object]) -> list[Step]:
    """What all statements of `act` scanned, those inside of functions too."""
    plans: list[dict[str, Any]] = []

    def keep(notice: psycopg.errors.Diagnostic) -> None:
        _, _, text = (notice.message_primary or "").partition("plan:\n")
        if text:
            plans.append(json.loads(text)["Plan"])

    conn.add_notice_handler(keep)
    act(conn)
    # The plan of a query is told when its portal goes, so with the next statement.
    conn.execute("SELECT 1")
    conn.remove_notice_handler(keep)
    assert plans
    return [step for plan in plans for step in steps(plan)]


def ids(first: int, count: int = BATCH) -> list[int]:
    """Of jobs that SCATTER treats alike: those whose id ends in `first`."""
    return [FINISHED + first + 100 * number for number in range(count)]


def tickets() -> list[Ticket]:
    return [Ticket(job_id, 1) for job_id in ids(3)]


def finishes() -> list[Finish]:
    states = ["completed", "retryable", "discarded", "available"]
    return [Finish(job_id, 1, states[job_id // 100 % 4]) for job_id in ids(12)]


def quotas() -> dict[Lane, int]:
    return {Lane(0, UUID(int=number), "probe"): 5 for number in range(BATCH)}


# Each with the rows that one step of it may read.
CASES: dict[str, tuple[Callable[[Connection], object], int]] = {
    "claim_jobs": (lambda c: jobs.claim_jobs(c, tickets(), worker_id=uuid4()), BATCH),
    "adopt_jobs": (lambda c: jobs.adopt_jobs(c, tickets(), worker_id=WORKERS[0]), BATCH),
    "finish_jobs": (lambda c: jobs.finish_jobs(c, finishes()), BATCH),
    "cancel_jobs": (lambda c: jobs.cancel_jobs(c, ids(50), reason="test"), BATCH),
    "recall_jobs": (lambda c: jobs.recall_jobs(c, tickets()), BATCH),
    # Reads the keys of all unfinished jobs: operators wait for it, dispatchers do not.
    "retry_jobs": (lambda c: jobs.retry_jobs(c, ids(27)), KEYED),
    "hold": (lambda c: jobs.hold(c, job_id=ids(12)[0], attempt=1), 1),
    "report_progress": (
        lambda c: jobs.report_progress(c, job_id=ids(12)[0], attempt=1, progress=Jsonb({})),
        1,
    ),
    "enqueue a twin": (
        lambda c: jobs.enqueue(c, "probe", {}, unique_key="u10", on_conflict="replace"),
        2,
    ),
    "promote_due": (lambda c: jobs.promote_due(c, rows_max=1000), 1000),
    "next_due_s": (jobs.next_due_s, 1),
    "list_cancel_requests": (
        lambda c: jobs.list_cancel_requests(c, worker_id=WORKERS[0], queues=["default"]),
        RUNNING // len(WORKERS) + DISPATCHED // len(WORKERS),
    ),
    "rescue_running": (lambda c: jobs.rescue_running(c, rows_max=1000), DISPATCHED + RUNNING),
    "forget_dead_processes": (jobs.forget_dead_processes, DISPATCHED + RUNNING),
    "list_stale_dispatches": (
        lambda c: jobs.list_stale_dispatches(c, age_s=5, rows_max=1000),
        DISPATCHED + RUNNING,
    ),
    "recall_old_epochs": (
        lambda c: jobs.recall_old_epochs(c, epoch=uuid4()),
        DISPATCHED + RUNNING,
    ),
    "count_in_flight": (lanes.count_in_flight, DISPATCHED + RUNNING),
    "list_lanes": (lambda c: lanes.list_lanes(c, queue="default", lanes_max=1000), LANES),
    "dispatch_jobs": (
        lambda c: lanes.dispatch_jobs(c, queue="default", quotas=quotas(), epoch=EPOCH),
        5 * BATCH,
    ),
    "pause": (lambda c: lanes.pause(c, scope="kind", name="probe"), DISPATCHED + RUNNING),
    "settle": (lambda c: waits.settle(c, rows_max=1000), 10_000),
    "delete_jobs": (lambda c: retention.delete_jobs(c, since=None, rows_max=1000), 5000),
    "count_jobs": (metrics.count_jobs, UNFINISHED),
}
# Those that the dispatcher runs in the transaction of a turn, so under its settings.
IN_A_TURN = ("promote_due", "settle", "count_in_flight", "list_lanes", "dispatch_jobs")


@pytest.mark.parametrize("case", CASES)
def test_a_statement_reads_what_it_is_about(conn: Connection, case: str) -> None:
    act, rows_max = CASES[case]

    done = watch(conn, act)

    assert too_much(done, rows_max) == []


@pytest.mark.parametrize("case", IN_A_TURN)
def test_a_turn_of_the_dispatcher_reads_no_more(conn: Connection, case: str) -> None:
    act, rows_max = CASES[case]
    jobs.begin_turn(conn)
    lanes.take_queues(conn, ["default"])

    done = watch(conn, act)

    assert too_much(done, rows_max) == []


def too_much(done: Sequence[Step], rows_max: int) -> list[Step]:
    ours = [step for step in done if step.table in ("jobs", "waits", "ends")]
    return [step for step in ours if step.how == "Seq Scan" or step.rows > rows_max]
