"""A whole agent indexed again: one batch, one report to its owner."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.rows import dict_row

from db import demo, jobs, waits
from db.fence import LeaseLost
from db.jobs import Claimed, Finish
from db.pool import Connection, Pool, open_pool
from pipelines.errors import Permanent
from tests.processes import Avivro
from tests.queueing import claim_one, start_worker, state
from workers import config
from workers.actors import load_doorways, run_job
from workers.chains import callback_of
from workers.jobs import ReindexAgent, ReportReindex, enqueue
from workers.tools import Toolbox


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    load_doorways()
    with open_pool(database_url, size_max=2) as opened:
        yield opened


@pytest.fixture
def agent_id(conn: Connection) -> UUID:
    """An agent with three sources that are indexed already."""
    user_id = demo.ensure_user(conn, email="owner@example.com", full_name="Owner")
    agent = demo.create_agent(conn, user_id=user_id, name="Bot", description="", system_prompt="")
    conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, content, status)"
        " SELECT %s, 'source ' || n, 'text', 'text', 'completed' FROM generate_series(1, 3) AS n",
        (agent,),
    )
    return agent


def begin(conn: Connection) -> Claimed:
    return claim_one(conn, start_worker(conn))


def work(conn: Connection, pool: Pool, job: Claimed) -> None:
    result = run_job(job, Toolbox(config.load(), pool))
    jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed", result=result)])


def members(conn: Connection) -> list[dict[str, Any]]:
    return (
        conn.cursor(row_factory=dict_row)
        .execute("SELECT id, priority, state FROM worker.jobs WHERE kind = 'index_source'")
        .fetchall()
    )


def end_members(conn: Connection, *, discard: int = 0) -> None:
    conn.execute(
        "UPDATE worker.jobs SET state = CASE WHEN place <= %s THEN 'discarded' ELSE 'completed' END"
        " FROM (SELECT id AS member, row_number() OVER (ORDER BY id) AS place FROM worker.jobs"
        "       WHERE kind = 'index_source') AS m WHERE id = member",
        (discard,),
    )


def notices(conn: Connection) -> list[str]:
    return [
        row[0]
        for row in conn.execute(
            "SELECT message FROM public.notifications WHERE type = 'knowledge_reindexed'"
        )
    ]


def test_every_source_is_indexed_again_after_what_customers_wait_for(
    conn: Connection, pool: Pool, agent_id: UUID
) -> None:
    job_id = enqueue(conn, ReindexAgent(agent_id))

    work(conn, pool, begin(conn))

    job = jobs.get_job(conn, job_id)
    assert job is not None
    assert job.result is not None
    assert job.result["sources"] == 3
    assert [(row["priority"], row["state"]) for row in members(conn)] == [(10, "available")] * 3
    assert state(conn, job.result["batch"]) == "scheduled"


def test_the_owner_is_told_when_all_are_through(
    conn: Connection, pool: Pool, agent_id: UUID
) -> None:
    enqueue(conn, ReindexAgent(agent_id))
    work(conn, pool, begin(conn))
    end_members(conn, discard=1)
    waits.settle(conn, rows_max=1000)

    work(conn, pool, begin(conn))

    (message,) = notices(conn)
    assert message.startswith("1 of 3 sources of Bot could not be indexed again: source ")


def test_an_agent_without_sources_is_reported_at_once(
    conn: Connection, pool: Pool, agent_id: UUID
) -> None:
    conn.execute("DELETE FROM public.knowledge_sources")
    enqueue(conn, ReindexAgent(agent_id))
    work(conn, pool, begin(conn))
    waits.settle(conn, rows_max=1000)

    work(conn, pool, begin(conn))

    assert notices(conn) == ["Bot has no sources to index again."]


def test_running_reindex_twice_adds_nothing(conn: Connection, pool: Pool, agent_id: UUID) -> None:
    enqueue(conn, ReindexAgent(agent_id))
    job = begin(conn)
    run_job(job, Toolbox(config.load(), pool))
    end_members(conn)

    work(conn, pool, job)

    assert len(members(conn)) == 3
    assert len(jobs.list_jobs(conn, kind="report_reindex")) == 1


def test_running_report_twice_tells_once(conn: Connection, pool: Pool, agent_id: UUID) -> None:
    enqueue(conn, ReportReindex(agent_id))
    job = begin(conn)
    run_job(job, Toolbox(config.load(), pool))

    work(conn, pool, job)

    assert len(notices(conn)) == 1


@pytest.mark.parametrize(("payload", "stores"), [(ReindexAgent, (3, 0)), (ReportReindex, (0, 1))])
def test_killed_midway_its_attempt_stores_nothing_and_the_next_one_all(
    conn: Connection,
    pool: Pool,
    agent_id: UUID,
    payload: type[ReindexAgent] | type[ReportReindex],
    stores: tuple[int, int],
) -> None:
    enqueue(conn, payload(agent_id))
    killed = begin(conn)
    jobs.finish_jobs(conn, [Finish(killed.id, killed.attempt, "available", spared=True)])
    with pytest.raises(LeaseLost):
        work(conn, pool, killed)
    early = (len(members(conn)), len(notices(conn)))

    work(conn, pool, begin(conn))

    assert early == (0, 0)
    assert (len(members(conn)), len(notices(conn))) == stores


def test_an_unknown_agent_is_refused_by_name(conn: Connection, pool: Pool) -> None:
    agent_id = uuid4()
    enqueue(conn, ReindexAgent(agent_id))

    with pytest.raises(Permanent, match=f"agent {agent_id} does not exist"):
        work(conn, pool, begin(conn))


def test_nobody_is_told_of_an_agent_that_is_gone(conn: Connection, pool: Pool) -> None:
    enqueue(conn, ReportReindex(uuid4()))

    work(conn, pool, begin(conn))

    assert notices(conn) == []


def test_asking_twice_makes_one_batch(conn: Connection, agent_id: UUID) -> None:
    asked = [
        callback_of(conn, enqueue(conn, ReindexAgent(agent_id)), then=ReportReindex(agent_id))
        for _ in range(2)
    ]

    assert asked[0] == asked[1]


def test_the_command_prints_the_batch_and_show_says_how_far_it_is(
    commands: Avivro, conn: Connection, pool: Pool, agent_id: UUID
) -> None:
    asked = commands.run("reindex", str(agent_id))
    batch = asked.stdout.removeprefix("batch ").partition(";")[0]
    work(conn, pool, begin(conn))
    waits.settle(conn, rows_max=1000)

    shown = commands.run("jobs", "show", batch)

    assert asked.returncode == 0, asked.stderr
    assert "4 jobs: 1 completed, 3 open" in shown.stdout
