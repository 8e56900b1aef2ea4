"""Which sources one tick enqueues, how often, and by which index it finds them."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from db import demo, jobs
from db.fence import LeaseLost
from db.jobs import Claimed, Finish
from db.pool import Connection, Pool, open_pool
from tests.queueing import claim_one, start_worker
from workers import config
from workers.actors import load_doorways, run_job
from workers.jobs import BULK_PRIORITY, ScheduleResyncs, enqueue
from workers.tools import Toolbox


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    load_doorways()
    with open_pool(database_url, size_max=2) as opened:
        yield opened


@pytest.fixture
def agent_id(conn: Connection) -> UUID:
    user_id = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")
    return demo.create_agent(conn, user_id=user_id, name="Bot", description="", system_prompt="")


def add(conn: Connection, agent_id: UUID, *, count: int = 1, **fields: Any) -> None:
    """Pages that were last refreshed two days ago, and refresh themselves daily."""
    given = {"status": "completed", "auto_sync": True, "age": "2 days", "type": "url"} | fields
    conn.execute(
        "INSERT INTO public.knowledge_sources"
        " (agent_id, name, type, url, status, auto_sync, sync_frequency, last_synced_at)"
        " SELECT %(agent_id)s, 'page', %(type)s, 'https://example.com/' || n, %(status)s,"
        " %(auto_sync)s, %(sync_frequency)s, now() - %(age)s::interval"
        " FROM generate_series(1, %(count)s) AS n",
        {"agent_id": agent_id, "count": count, "sync_frequency": None} | given,
    )
    conn.execute("DELETE FROM worker.jobs")


def begin(conn: Connection) -> Claimed:
    enqueue(conn, ScheduleResyncs())
    return claim_one(conn, start_worker(conn))


def work(conn: Connection, pool: Pool, job: Claimed) -> None:
    result = run_job(job, Toolbox(config.load(), pool))
    jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed", result=result)])


def enqueued(conn: Connection) -> list[tuple[int, str]]:
    return conn.execute(
        "SELECT priority, state FROM worker.jobs WHERE kind = 'resync_source'"
    ).fetchall()


def test_a_due_source_is_enqueued_after_what_customers_wait_for(
    conn: Connection, pool: Pool, agent_id: UUID
) -> None:
    add(conn, agent_id)

    work(conn, pool, begin(conn))

    assert enqueued(conn) == [(BULK_PRIORITY, "available")]


def test_running_twice_changes_nothing(conn: Connection, pool: Pool, agent_id: UUID) -> None:
    add(conn, agent_id)
    work(conn, pool, begin(conn))

    work(conn, pool, begin(conn))

    assert len(enqueued(conn)) == 1


def test_killed_midway_it_enqueues_nothing_and_the_next_one_all(
    conn: Connection, pool: Pool, agent_id: UUID
) -> None:
    add(conn, agent_id, count=3)
    killed = begin(conn)
    jobs.finish_jobs(conn, [Finish(killed.id, killed.attempt, "available", spared=True)])
    with pytest.raises(LeaseLost):
        work(conn, pool, killed)
    early = len(enqueued(conn))

    work(conn, pool, begin(conn))

    assert (early, len(enqueued(conn))) == (0, 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"age": "20 hours"},
        {"auto_sync": False},
        {"sync_frequency": "weekly"},
        {"sync_frequency": "nonsense"},
        {"type": "text"},
        {"status": "processing"},
        {"status": "pending"},
    ],
)
def test_what_is_not_due_is_not_enqueued(
    conn: Connection, pool: Pool, agent_id: UUID, fields: dict[str, Any]
) -> None:
    add(conn, agent_id, **fields)

    work(conn, pool, begin(conn))

    assert enqueued(conn) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"sync_frequency": "hourly", "age": "61 minutes"},
        {"sync_frequency": "* * * * *", "age": "10 minutes"},
        {"sync_frequency": "monthly", "age": "32 days"},
        {"status": "failed"},
        {"type": "notion"},
    ],
)
def test_whatever_its_frequency_a_source_is_due_once_that_has_passed(
    conn: Connection, pool: Pool, agent_id: UUID, fields: dict[str, Any]
) -> None:
    add(conn, agent_id, **fields)

    work(conn, pool, begin(conn))

    assert len(enqueued(conn)) == 1


def test_after_a_month_away_each_source_fires_once(
    conn: Connection, pool: Pool, agent_id: UUID
) -> None:
    add(conn, agent_id, count=3, sync_frequency="hourly", age="30 days")
    work(conn, pool, begin(conn))
    conn.execute("UPDATE worker.jobs SET state = 'completed' WHERE kind = 'resync_source'")

    work(conn, pool, begin(conn))

    assert [state for _, state in enqueued(conn)] == ["completed"] * 3


def test_a_tick_takes_thousands(conn: Connection, pool: Pool, agent_id: UUID) -> None:
    add(conn, agent_id, count=1_200)

    work(conn, pool, begin(conn))

    assert len(enqueued(conn)) == 1_200


def test_what_is_due_is_found_by_its_index(conn: Connection, agent_id: UUID) -> None:
    add(conn, agent_id, count=12_000, age="1 hour")
    conn.execute("ANALYZE worker.source_syncs")

    plan = conn.execute(
        "EXPLAIN SELECT y.source_id FROM worker.source_syncs AS y"
        " WHERE y.due_at <= now() ORDER BY y.due_at LIMIT 500 FOR UPDATE SKIP LOCKED"
    ).fetchall()

    text = "\n".join(row[0] for row in plan)
    assert "source_syncs_due_idx" in text
    assert "Sort" not in text
