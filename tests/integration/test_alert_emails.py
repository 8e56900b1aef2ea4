"""What owners are mailed of usage and of sources that fail, and how often."""

from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from db import demo
from db.pool import Connection
from tests.mailed import mails

CANCELLED = "Indexing was cancelled."


@pytest.fixture
def owner(conn: Connection) -> UUID:
    return demo.ensure_user(conn, email="owner@example.com", full_name="Ola Owner")


@pytest.fixture
def agent_id(conn: Connection, owner: UUID) -> UUID:
    return demo.create_agent(conn, user_id=owner, name="Bot", description="", system_prompt="")


def use(conn: Connection, owner: UUID, messages: int, *, limit: int = 100) -> None:
    conn.execute(
        "UPDATE public.user_profiles SET monthly_messages_used = %s, monthly_message_limit = %s"
        " WHERE id = %s",
        (messages, limit, owner),
    )


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ((79,), []),
        ((80, 81, 99), [80]),
        ((85, 100, 101), [85, 100]),
        ((120,), [120]),
        ((80, 10, 80), [80]),
        ((100, 0, 100), [100]),
    ],
)
def test_usage_is_mailed_at_the_marks_once_a_period(
    conn: Connection, owner: UUID, steps: tuple[int, ...], told: list[int]
) -> None:
    use(conn, owner, 0)

    for messages in steps:
        use(conn, owner, messages)

    assert [data["messages_used"] for data in mails(conn, "usage_limit")] == told


def test_the_next_period_is_told_of_anew_and_a_higher_limit_is_not(
    conn: Connection, owner: UUID
) -> None:
    use(conn, owner, 80)
    use(conn, owner, 80, limit=1_000)
    use(conn, owner, 800, limit=1_000)
    conn.execute(
        "UPDATE public.user_profiles SET monthly_messages_used = 0,"
        " usage_period_start = usage_period_start + interval '1 month'"
    )

    use(conn, owner, 900, limit=1_000)

    assert [data["messages_used"] for data in mails(conn, "usage_limit")] == [80, 900]


def add_source(conn: Connection, agent_id: UUID, *, parent_id: UUID | None = None) -> UUID:
    row = conn.execute(
        "INSERT INTO public.knowledge_sources (agent_id, name, type, url, status, parent_id)"
        " VALUES (%s, 'Rooms', 'url', 'https://x.example/' || gen_random_uuid(), 'processing', %s)"
        " RETURNING id",
        (agent_id, parent_id),
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def fail(conn: Connection, source_id: UUID, error: str = "The page answered 404.") -> None:
    conn.execute(
        "UPDATE public.knowledge_sources SET status = 'failed', error_message = %s WHERE id = %s",
        (error, source_id),
    )


def test_a_source_that_failed_for_good_is_mailed_with_its_reason(
    conn: Connection, agent_id: UUID
) -> None:
    fail(conn, add_source(conn, agent_id))

    (data,) = mails(conn, "source_failed")
    assert (data["source_name"], data["agent_name"]) == ("Rooms", "Bot")
    assert data["error_message"] == "The page answered 404."


def test_a_source_that_fails_again_and_again_is_mailed_once_a_day(
    conn: Connection, agent_id: UUID
) -> None:
    source_id = add_source(conn, agent_id)

    for _ in range(3):
        fail(conn, source_id)
        conn.execute("UPDATE public.knowledge_sources SET status = 'processing'")

    assert len(mails(conn, "source_failed")) == 1


def test_many_sources_that_fail_are_few_mails(conn: Connection, agent_id: UUID) -> None:
    for _ in range(9):
        fail(conn, add_source(conn, agent_id))

    assert len(mails(conn, "source_failed")) == 5


def test_pages_of_a_crawl_and_cancelled_sources_are_not_mailed(
    conn: Connection, agent_id: UUID
) -> None:
    site = add_source(conn, agent_id)

    fail(conn, add_source(conn, agent_id, parent_id=site))
    fail(conn, site, CANCELLED)

    assert mails(conn, "source_failed") == []


def test_a_job_given_up_mails_the_sources_owner(conn: Connection, agent_id: UUID) -> None:
    source_id = add_source(conn, agent_id)
    errors = [{"attempt": 1, "error": "The page is 60 MB, limit 50 MB", "at": "2025-02-06"}]
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, max_attempts, args, errors)"
        " VALUES ('index_source', 'knowledge', 3, jsonb_build_object('source_id', %s::uuid), %s)",
        (source_id, Jsonb(errors)),
    )
    conn.execute("UPDATE worker.jobs SET state = 'retryable' WHERE kind = 'index_source'")
    assert mails(conn, "source_failed") == []

    conn.execute("UPDATE worker.jobs SET state = 'discarded' WHERE kind = 'index_source'")

    (data,) = mails(conn, "source_failed")
    assert data["error_message"] == "The page is 60 MB, limit 50 MB"


def test_a_refresh_that_paused_is_mailed_with_the_sources_sentence(
    conn: Connection, agent_id: UUID
) -> None:
    source_id = add_source(conn, agent_id)
    conn.execute(
        "INSERT INTO worker.source_syncs (source_id, failures) VALUES (%s, 5)"
        " ON CONFLICT (source_id) DO NOTHING",
        (source_id,),
    )

    with conn.transaction():
        conn.execute("UPDATE worker.source_syncs SET paused_at = now()")
        conn.execute(
            "UPDATE public.knowledge_sources SET status = 'completed', error_message = 'Paused.'"
        )

    assert [data["error_message"] for data in mails(conn, "source_failed")] == ["Paused."]
