"""Many jobs in one call: by COPY, by arrays, from SQL; and what is refused at that door."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from db import agents, jobs
from db.jobs import Finish
from db.pool import Connection, connect
from tests.integration.people import sign_up
from tests.queueing import claim_one, dispatch, start_worker
from workers.jobs import IndexSource, Payload, Probe, ReindexAgent, ReportReindex, enqueue_many

TENANT = uuid4()
MANY = 10_000


def stored(conn: Connection, columns: str) -> list[tuple[Any, ...]]:
    return conn.execute(f"SELECT {columns} FROM worker.jobs ORDER BY id".encode()).fetchall()


def in_sql(conn: Connection, kind: object, args: Sequence[str | None] | None) -> list[int]:
    row = conn.execute("SELECT worker.enqueue_many(%s, %s::jsonb[])", (kind, args)).fetchone()
    assert row is not None
    return list(row[0])


def an_agent(conn: Connection) -> tuple[UUID, UUID]:
    """An agent, and its owner."""
    owner = sign_up(conn, "owner")
    # The welcome mail: a job that no test here asked for.
    conn.execute("DELETE FROM worker.jobs")
    return agents.create(conn, user_id=owner, name="Support").id, owner


def test_copied_jobs_are_as_if_enqueued_one_by_one(conn: Connection) -> None:
    payloads = [Probe(sleep_ms=1, effect='"\\ \t\n'), Probe(), Probe(crash=False)]
    columns = (
        "kind, queue, tenant, priority, state, args, unique_key, limit_key, lane, rerun,"
        " attempt, max_attempts, errors, dispatch_seq, finished_at"
    )
    for payload in payloads:
        args = {
            k: v for k in ("sleep_ms", "effect", "crash") if (v := getattr(payload, k)) is not None
        }
        jobs.enqueue(conn, "probe", args, tenant=TENANT, priority=3)
    one_by_one = stored(conn, columns)
    conn.execute("DELETE FROM worker.jobs")

    count = enqueue_many(conn, payloads, tenant=TENANT, priority=3)

    assert (count, stored(conn, columns)) == (3, one_by_one)


def test_ten_thousand_jobs_of_several_kinds_are_all_there_and_run_in_order(
    conn: Connection,
) -> None:
    payloads: list[Payload] = [Probe(sleep_ms=number) for number in range(MANY)]
    payloads.insert(MANY // 2, IndexSource(uuid4()))

    with conn.transaction():
        count = enqueue_many(conn, (payload for payload in payloads))

    by_kind = conn.execute("SELECT kind, count(*) FROM worker.jobs GROUP BY kind ORDER BY kind")
    first = claim_one(conn, start_worker(conn))
    assert count == MANY + 1
    assert by_kind.fetchall() == [("index_source", 1), ("probe", MANY)]
    assert first.args == {"sleep_ms": 0}


def test_nothing_is_enqueued_from_nothing(conn: Connection) -> None:
    assert (enqueue_many(conn, []), stored(conn, "id")) == (0, [])


def test_many_jobs_belong_to_the_callers_transaction(database_url: str, conn: Connection) -> None:
    with connect(database_url) as other:
        enqueue_many(other, [Probe(), IndexSource(uuid4())])
        other.rollback()

    assert stored(conn, "id") == []


@pytest.mark.parametrize(
    "payload", [Probe(), IndexSource(uuid4()), ReportReindex(uuid4())], ids=["copy", "keys", "ids"]
)
def test_many_jobs_for_later_wait_for_their_time(conn: Connection, payload: Payload) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)

    enqueue_many(conn, [payload], run_at=later)

    promoted = jobs.promote_due(conn, rows_max=10)
    assert (stored(conn, "state, run_at"), promoted) == ([("scheduled", later)], 0)


def test_a_time_that_has_come_is_due_in_the_next_turn(conn: Connection) -> None:
    enqueue_many(conn, [Probe()], run_at=datetime.now(UTC) - timedelta(hours=1))

    jobs.promote_due(conn, rows_max=10)

    assert stored(conn, "state") == [("available",)]


def test_twins_become_one_job_each(conn: Connection) -> None:
    sources = [IndexSource(uuid4()) for _ in range(3)]
    enqueue_many(conn, sources[:1])

    count = enqueue_many(conn, [*sources, *sources])

    keys = [str(source.source_id) for source in sources]
    assert (count, stored(conn, "unique_key")) == (6, [(keys[0],), *sorted((k,) for k in keys[1:])])


def test_a_running_twin_of_many_runs_again(conn: Connection) -> None:
    source = IndexSource(uuid4())
    enqueue_many(conn, [source])
    tickets = dispatch(conn, queue="knowledge")
    (job,) = jobs.claim_jobs(conn, tickets, worker_id=start_worker(conn, "knowledge"))

    enqueue_many(conn, [source])

    ended = jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed")])
    assert ended == {job.id: "available"}


def test_two_that_enqueue_the_same_keys_crosswise_do_not_deadlock(
    database_url: str, conn: Connection
) -> None:
    sources = [IndexSource(uuid4()) for _ in range(20)]

    with connect(database_url) as other:
        other.execute("SET lock_timeout = '100ms'")
        with conn.transaction():
            enqueue_many(conn, sources)
            with pytest.raises(psycopg.errors.LockNotAvailable):
                enqueue_many(other, sources[::-1])
            other.rollback()
        enqueue_many(other, sources[::-1])
        other.commit()

    assert len(stored(conn, "id")) == 20


def test_the_tenant_comes_from_the_ids_in_the_arguments(conn: Connection) -> None:
    agent_id, owner = an_agent(conn)

    enqueue_many(conn, [ReportReindex(agent_id), ReportReindex(uuid4()), ReindexAgent(agent_id)])

    assert stored(conn, "tenant") == [(owner,), (None,), (owner,)]


def test_a_given_tenant_goes_before_that_of_the_arguments(conn: Connection) -> None:
    agent_id, _ = an_agent(conn)

    enqueue_many(conn, [ReportReindex(agent_id), ReindexAgent(agent_id)], tenant=TENANT)

    assert stored(conn, "tenant") == [(TENANT,), (TENANT,)]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (Probe(sleep_ms="5"), 'kind "probe": argument "sleep_ms" must be of type int, not str'),  # type: ignore[arg-type]
        (Probe(sleep_ms=True), 'kind "probe": argument "sleep_ms" must be of type int, not bool'),
        (IndexSource("7"), 'kind "index_source": argument "source_id" must be of type UUID'),  # type: ignore[arg-type]
        (IndexSource(None), 'argument "source_id" must be of type UUID, not NoneType'),  # type: ignore[arg-type]
    ],
)
def test_one_wrong_payload_of_many_is_named_and_none_is_stored(
    database_url: str, conn: Connection, wrong: Payload, says: str
) -> None:
    right = [Probe(), *(type(wrong)() if isinstance(wrong, Probe) else IndexSource(uuid4()),) * 2]

    with connect(database_url) as other:
        with pytest.raises(TypeError, match=says):
            enqueue_many(other, [*right, wrong, *right])
        other.rollback()

    assert stored(conn, "id") == []


def test_sql_answers_with_the_ids_in_order(conn: Connection) -> None:
    ids = in_sql(conn, "probe", [json.dumps({"sleep_ms": number}) for number in (3, 1, 2)])

    assert stored(conn, "id, args ->> 'sleep_ms'") == list(zip(ids, "312", strict=True))


def test_sql_answers_with_the_unfinished_twin_in_its_place(conn: Connection) -> None:
    first, second = (json.dumps({"source_id": str(uuid4())}) for _ in range(2))
    (twin,) = in_sql(conn, "index_source", [second])

    ids = in_sql(conn, "index_source", [first, second, first])

    assert (ids[1], ids[0] == ids[2], len(set(ids))) == (twin, True, 2)


@pytest.mark.parametrize(
    ("kind", "args", "says"),
    [
        ("probe", ["{}", '{"sleep": 1}'], 'job kind "probe": unknown argument "sleep"'),
        ("probe", ["{}", '{"cpu_ms": []}'], 'job kind "probe": argument "cpu_ms" must be of type'),
        ("probe", ["{}", None], 'job kind "probe": args must be a JSON object, not null'),
        ("probe", [None, "{}"], 'job kind "probe": args must be a JSON object, not null'),
        ("probe", ["{}", "[]"], 'job kind "probe": args must be a JSON object, not array'),
        ("index_source", ["{}"], 'job kind "index_source": missing argument "source_id"'),
        ("prob", ["{}"], 'unknown job kind "prob"'),
        ("prob", [], 'unknown job kind "prob"'),
        (None, ["{}"], 'unknown job kind "null"'),
    ],
)
def test_sql_names_what_is_wrong_with_one_of_many_and_stores_none(
    conn: Connection, kind: str | None, args: list[str | None], says: str
) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=says):
        in_sql(conn, kind, args)

    assert stored(conn, "id") == []


@pytest.mark.parametrize("kind", ["probe", "index_source"])
@pytest.mark.parametrize("args", [[], None])
def test_sql_enqueues_nothing_from_nothing(
    conn: Connection, kind: str, args: list[str] | None
) -> None:
    assert (in_sql(conn, kind, args), stored(conn, "id")) == ([], [])
