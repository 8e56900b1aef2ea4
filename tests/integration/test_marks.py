"""Marks become jobs: one for each agent or table, level-triggered, however many marks there are."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest

from db import marks
from db.pool import Connection, connect
from tests.queueing import start_worker
from workers import dispatcher
from workers.dispatcher import Dispatcher
from workers.runway import Runway

UNFINISHED = "state IN ('scheduled', 'available', 'dispatched', 'running', 'retryable')"


@pytest.fixture
def runway(redis_url: str) -> Iterator[Runway]:
    opened = Runway(redis_url)
    yield opened
    opened.close()


def mark_agents(conn: Connection, count: int, *, marks_each: int = 1) -> set[str]:
    agents = [uuid4() for _ in range(count)]
    conn.execute(
        "INSERT INTO worker.sentiment_marks (agent_id, conversation_id)"
        " SELECT a, gen_random_uuid() FROM unnest(%s::uuid[]) AS a, generate_series(1, %s)",
        [agents, marks_each],
    )
    return {str(agent) for agent in agents}


def enqueue_all(conn: Connection, *, agents_max: int = 500) -> int:
    """Pages until the last one; how many jobs were enqueued."""
    after: UUID | None = None
    total = 0
    while True:
        page = marks.enqueue_marked(conn, after=after, agents_max=agents_max)
        total, after = total + page.enqueued, page.next_agent
        if after is None:
            return total


def marked(conn: Connection, kind: str = "analyze_sentiment") -> list[str]:
    """The unique keys of what waits."""
    found = conn.execute(
        f"SELECT unique_key FROM worker.jobs WHERE kind = %s AND {UNFINISHED}", [kind]
    ).fetchall()
    return [row[0] for row in found]


def end_jobs(conn: Connection) -> None:
    conn.execute("UPDATE worker.jobs SET state = 'completed', finished_at = now()")


def test_an_agent_gets_one_job_for_all_its_marks(conn: Connection) -> None:
    agents = mark_agents(conn, 3, marks_each=50)

    enqueued = enqueue_all(conn)

    assert enqueued == 3
    assert sorted(marked(conn)) == sorted(agents)


def test_nothing_is_enqueued_beside_an_unfinished_job(conn: Connection) -> None:
    mark_agents(conn, 2)
    enqueue_all(conn)

    assert enqueue_all(conn) == 0


def test_marks_that_stay_lead_to_another_job(conn: Connection) -> None:
    agents = mark_agents(conn, 2)
    enqueue_all(conn)
    end_jobs(conn)

    enqueued = enqueue_all(conn)

    assert enqueued == 2
    assert set(marked(conn)) == agents


def test_more_agents_than_a_page_are_all_found(conn: Connection) -> None:
    agents = mark_agents(conn, 11)

    enqueue_all(conn, agents_max=4)

    assert set(marked(conn)) == agents


@pytest.mark.parametrize(
    ("mark", "kind"),
    [
        (
            "INSERT INTO worker.stats_marks (agent_id, from_at, until_at)"
            " SELECT gen_random_uuid(), now(), now() FROM generate_series(1, 5)",
            "aggregate_daily_stats",
        ),
        (
            "INSERT INTO worker.usage_marks (user_id, month)"
            " SELECT gen_random_uuid(), '2026-11-01' FROM generate_series(1, 5)",
            "summarize_usage",
        ),
    ],
)
def test_a_table_of_marks_gets_one_job(conn: Connection, mark: str, kind: str) -> None:
    conn.execute(mark)

    enqueue_all(conn)
    enqueue_all(conn)

    assert len(marked(conn, kind)) == 1


def test_a_dispatcher_dispatches_what_is_marked(
    conn: Connection, database_url: str, runway: Runway
) -> None:
    start_worker(conn, "sentiment")
    mark_agents(conn, 3)
    with connect(database_url) as own:
        dealer = Dispatcher(own, runway, wait=lambda timeout_s: None)

        turn = dealer.turn()

    assert turn.moved == 6
    assert len(runway.pop("sentiment", 10)) == 3


def test_a_dispatcher_goes_on_behind_its_last_page(
    conn: Connection, database_url: str, runway: Runway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "MARKED_AGENTS_MAX", 2)
    agents = mark_agents(conn, 5)
    with connect(database_url) as own:
        dealer = Dispatcher(own, runway, wait=lambda timeout_s: None)

        for _ in range(3):
            dealer.turn()

    assert set(marked(conn)) == agents
