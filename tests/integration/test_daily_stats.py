"""What daily_stats say after any write, beside a naive recount; and when they are not touched."""

from collections.abc import Iterator
from datetime import date
from uuid import UUID

import pytest
from psycopg.errors import RaiseException

from db import daily_stats
from db.embedded import Services
from db.pool import Connection, connect
from pipelines import aggregate_daily_stats
from pipelines.aggregate_daily_stats import run, serve_marks
from tests.conftest import fresh_database
from tests.integration.schema_world import insert
from tests.integration.stats_world import (
    add_agent,
    add_conversation,
    add_message,
    add_owner,
    assert_days_are_right,
    held,
    serve,
    stored_days,
)

DAY = "2026-03-10"


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
def undone(shared: Connection) -> Iterator[Connection]:
    """A transaction of the test's own: a new database for each would take a second each."""
    with shared.transaction(force_rollback=True):
        yield shared


def fill(conn: Connection, agent: UUID) -> UUID:
    """One row of each raw table, on one day; the conversation."""
    at = f"{DAY} 12:00+00"
    conversation = add_conversation(conn, agent, at, sentiment_label="positive", visitor_id="v")
    add_message(conn, conversation, at, tokens_used=7)
    add_message(conn, conversation, at, role="assistant", response_time_ms=5, tokens_used=4)
    add_message(conn, conversation, at, role="system")
    insert(conn, "leads", {"agent_id": agent, "created_at": at})
    for event in ("widget_opened", "widget_open", "widget.opened", "message_sent"):
        row = {"agent_id": agent, "event_type": event, "created_at": at}
        insert(conn, "analytics_events", row)
    for kind in ("message", "embedding"):
        usage = {"agent_id": agent, "usage_type": kind, "total_tokens": 100, "created_at": at}
        insert(conn, "usage_logs", {**usage, "total_cost": "0.0000000001"})
    return conversation


def test_a_day_says_what_happened_on_it(conn: Connection, database_url: str) -> None:
    agent = add_agent(conn, add_owner(conn))
    fill(conn, agent)

    with held(conn, database_url, "aggregate_daily_stats") as db:
        result = run(db)

    (day,) = stored_days(conn).values()
    assert {name: str(value) for name, value in day.items()} == {
        "total_conversations": "1",
        "active_conversations": "1",
        "avg_conversation_duration": "0.000",
        "total_messages": "3",
        "user_messages": "1",
        "assistant_messages": "1",
        "avg_response_time_ms": "5.000",
        "total_leads": "1",
        "conversion_rate": "1.000000",
        "positive_sentiment_count": "1",
        "neutral_sentiment_count": "0",
        "negative_sentiment_count": "0",
        "widget_opens": "3",
        "unique_visitors": "1",
        "returning_visitors": "0",
        "total_tokens_used": "111",
        "total_ai_cost": "2E-10",
    }
    assert (result["changed"], result["complete"]) == (1, True)
    assert_days_are_right(conn)


def test_serving_marks_twice_writes_no_row_twice(conn: Connection, database_url: str) -> None:
    agent = add_agent(conn, add_owner(conn))
    fill(conn, agent)
    serve(conn)
    before = conn.execute("SELECT updated_at FROM daily_stats").fetchall()

    conn.execute("UPDATE conversations SET duration_seconds = 0, created_at = created_at")
    conn.execute(
        "SELECT worker.mark_days(ARRAY[%s]::uuid[], ARRAY[%s]::timestamptz[])",
        (agent, f"{DAY} 12:00+00"),
    )
    with held(conn, database_url, "aggregate_daily_stats") as db:
        result = run(db)

    assert (result["pairs"], result["changed"]) == (1, 0)
    after = conn.execute("SELECT updated_at FROM daily_stats").fetchall()
    assert after == before


def test_an_aggregation_that_is_killed_is_done_by_the_next(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = add_agent(conn, add_owner(conn))
    fill(conn, agent)

    def crash(*_args: object) -> int:
        raise RaiseException("killed")

    with held(conn, database_url, "aggregate_daily_stats") as db:
        with monkeypatch.context() as patched:
            patched.setattr(daily_stats, "recompute_days", crash)
            with pytest.raises(RaiseException):
                run(db)
        assert stored_days(conn) == {}
        run(db)

    assert_days_are_right(conn)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE messages SET created_at = created_at + interval '3 days'",
        "UPDATE messages SET tokens_used = 1, role = 'assistant', response_time_ms = 9",
        "UPDATE messages SET conversation_id = %(other)s",
        "DELETE FROM messages WHERE role = 'user'",
        "UPDATE conversations SET status = 'resolved'",
        "UPDATE conversations SET sentiment_label = 'negative'",
        "UPDATE conversations SET created_at = created_at - interval '40 days'",
        "UPDATE conversations SET agent_id = %(second)s WHERE id = %(id)s",
        "UPDATE conversations SET visitor_id = 'w' WHERE id = %(id)s",
        "DELETE FROM conversations WHERE id = %(id)s",
        "DELETE FROM conversations",
        "UPDATE leads SET created_at = created_at - interval '40 days'",
        "UPDATE leads SET agent_id = %(second)s",
        "DELETE FROM leads",
        "UPDATE analytics_events SET event_type = 'widget_opened'",
        "UPDATE analytics_events SET event_type = 'other' WHERE event_type = 'widget_open'",
        "UPDATE analytics_events SET agent_id = %(second)s",
        "UPDATE analytics_events SET created_at = created_at + interval '1 day'",
        "DELETE FROM analytics_events",
        "UPDATE usage_logs SET total_cost = 3, total_tokens = 5",
        "UPDATE usage_logs SET usage_type = 'export'",
        "UPDATE usage_logs SET agent_id = %(second)s",
        "UPDATE usage_logs SET agent_id = NULL",
        "DELETE FROM usage_logs",
        "UPDATE agents SET user_id = %(far)s WHERE id = %(agent)s",
        "UPDATE user_profiles SET time_zone = 'Pacific/Kiritimati'",
        "DELETE FROM agents WHERE id = %(agent)s",
    ],
)
def test_days_are_right_after_a_write(undone: Connection, statement: str) -> None:
    agent = add_agent(undone, add_owner(undone))
    conversation = fill(undone, agent)
    second = add_agent(undone, add_owner(undone, "Asia/Kathmandu"))
    other = add_conversation(undone, second, "2026-03-12 23:00+00", visitor_id="v")
    add_conversation(undone, agent, "2026-03-15 00:00+00", visitor_id="v")
    serve(undone)
    far = add_owner(undone, "America/Caracas")

    names = {"agent": agent, "second": second, "id": conversation, "other": other, "far": far}
    undone.execute(statement.encode(), names)

    changed = serve(undone)
    assert_days_are_right(undone)
    assert changed > 0 or "agents" in statement


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE messages SET content = 'y', sentiment_score = 0.5, sentiment_label = 'positive'",
        "UPDATE conversations SET visitor_name = 'A', updated_at = now()",
        "UPDATE conversations SET status = 'archived' WHERE status = 'resolved'",
        "UPDATE leads SET notes = 'y'",
        "UPDATE analytics_events SET event_data = '{}', country = 'NP'",
        "UPDATE usage_logs SET metadata = '{}', ai_model = NULL",
        "INSERT INTO analytics_events (agent_id, event_type) SELECT id, 'message_sent' FROM agents",
        "INSERT INTO usage_logs (usage_type) VALUES ('message')",
        "UPDATE agents SET name = 'B'",
        "UPDATE user_profiles SET full_name = 'B'",
    ],
)
def test_what_counts_nowhere_marks_nothing(undone: Connection, statement: str) -> None:
    agent = add_agent(undone, add_owner(undone))
    fill(undone, agent)
    serve(undone)

    undone.execute(statement.encode())

    assert undone.execute("SELECT count(*) FROM worker.stats_marks").fetchone() == (0,)


def test_one_statement_leaves_one_mark_for_an_agents_day(undone: Connection) -> None:
    agent = add_agent(undone, add_owner(undone))
    conversation = add_conversation(undone, agent, f"{DAY} 00:00+00")
    serve(undone)

    undone.execute(
        "INSERT INTO messages (conversation_id, role, content, created_at)"
        " SELECT %s, 'user', 'x', %s::timestamptz + n * interval '7 minutes'"
        " FROM generate_series(0, 299) AS n",
        (conversation, f"{DAY} 00:00+00"),
    )

    marks = undone.execute(
        "SELECT from_at, until_at - from_at < interval '1 day', count(*) FROM worker.stats_marks"
        " GROUP BY 1, 2 ORDER BY 1"
    ).fetchall()
    # The conversation's day has two: it lasts longer now.
    assert [row[1:] for row in marks] == [(True, 2), (True, 1)]


def test_a_first_visit_that_comes_late_makes_the_next_day_a_return(undone: Connection) -> None:
    agent = add_agent(undone, add_owner(undone))
    add_conversation(undone, agent, "2026-05-01 10:00+00", visitor_id="v")
    add_conversation(undone, agent, "2026-05-02 10:00+00", visitor_id="v")
    serve(undone)

    late = add_conversation(undone, agent, "2025-01-01 10:00+00", visitor_id="v")
    serve(undone)
    with_late = [day["returning_visitors"] for _, day in sorted(stored_days(undone).items())]
    undone.execute("DELETE FROM conversations WHERE id = %s", (late,))
    serve(undone)

    assert with_late == [0, 1, 1]
    assert [day["returning_visitors"] for _, day in sorted(stored_days(undone).items())] == [0, 1]


def test_old_opens_that_retention_deletes_stay_counted(undone: Connection) -> None:
    agent = add_agent(undone, add_owner(undone))
    fill(undone, agent)
    serve(undone)

    with undone.transaction():
        undone.execute("SET LOCAL avivro.retention = 'on'")
        undone.execute(
            "INSERT INTO worker.kept_opens (agent_id, at, opens)"
            " SELECT agent_id, date_bin('15 min', created_at, 'epoch'), 3 FROM analytics_events"
            " GROUP BY 1, 2"
        )
        undone.execute("DELETE FROM analytics_events")
        undone.execute("SET LOCAL avivro.retention = 'off'")

    assert undone.execute("SELECT count(*) FROM worker.stats_marks").fetchone() == (0,)
    undone.execute("DELETE FROM leads")
    serve(undone)
    assert [day["widget_opens"] for day in stored_days(undone).values()] == [3]
    assert_days_are_right(undone)


def test_of_a_deleted_agent_nothing_is_left(undone: Connection) -> None:
    agent = add_agent(undone, add_owner(undone))
    fill(undone, agent)
    undone.execute("INSERT INTO worker.kept_opens VALUES (%s, now(), 1)", (agent,))

    undone.execute("DELETE FROM agents WHERE id = %s", (agent,))

    serve(undone)
    for table in ("daily_stats", "worker.stats_marks", "worker.kept_opens"):
        assert undone.execute(f"SELECT count(*) FROM {table}".encode()).fetchone() == (0,), table


def test_moments_outside_of_the_calendar_hold_nothing_up(undone: Connection) -> None:
    agent = add_agent(undone, add_owner(undone))
    fill(undone, agent)
    for at in ("infinity", "-infinity", "0044-03-15 12:00+00 BC", "20000-01-01 00:00+00"):
        insert(undone, "leads", {"agent_id": agent, "created_at": at})
    undone.execute("UPDATE user_profiles SET time_zone = 'Asia/Kathmandu'")

    serve(undone)

    assert [day["total_leads"] for day in stored_days(undone).values()] == [1]


def test_ten_thousand_leads_beside_one_conversation_fit(undone: Connection) -> None:
    agent = add_agent(undone, add_owner(undone))
    add_conversation(undone, agent, f"{DAY} 12:00+00")
    undone.execute(
        "INSERT INTO leads (agent_id, created_at) SELECT %s, %s FROM generate_series(1, 10000)",
        (agent, f"{DAY} 12:00+00"),
    )
    usage = {"agent_id": agent, "usage_type": "export", "created_at": f"{DAY} 12:00+00"}
    for _ in range(2):
        insert(undone, "usage_logs", {**usage, "total_cost": "9999999999"})

    serve(undone)

    assert_days_are_right(undone)


def test_an_import_is_served_in_bounded_transactions_each_day_once(
    undone: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = add_agent(undone, add_owner(undone))
    monkeypatch.setattr(aggregate_daily_stats, "PAIRS_MAX", 10)
    conversation = add_conversation(undone, agent, "2026-01-01 00:00+00")
    for _ in range(4):
        undone.execute(
            "INSERT INTO messages (conversation_id, role, content, created_at)"
            " SELECT %s, 'user', 'x', '2026-01-01 12:00+00'::timestamptz + n * interval '1 day'"
            " FROM generate_series(0, 24) AS n",
            (conversation,),
        )

    pairs = []
    while True:
        with undone.transaction():
            served = serve_marks(undone)
        if not served.marks:
            break
        pairs.append(served.pairs)

    assert pairs == [10, 10, 5]
    assert_days_are_right(undone)


def test_a_mark_of_everything_is_served_in_parts(
    undone: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = add_agent(undone, add_owner(undone))
    monkeypatch.setattr(aggregate_daily_stats, "WIDE_DAYS_MAX", 7)
    conversation = add_conversation(undone, agent, "2026-01-01 00:00+00")
    for number in range(20):
        add_message(undone, conversation, f"2026-01-{number + 5:02} 21:00+00")
    undone.execute("INSERT INTO daily_stats (agent_id, date) VALUES (%s, '2031-01-01')", (agent,))
    serve(undone)

    undone.execute("UPDATE user_profiles SET time_zone = 'Asia/Tokyo'")
    serve(undone)

    assert_days_are_right(undone)


def test_marks_of_an_agent_that_is_being_deleted_are_left_alone(
    conn: Connection, database_url: str
) -> None:
    agent = add_agent(conn, add_owner(conn))
    fill(conn, agent)
    other = add_agent(conn, add_owner(conn))
    add_conversation(conn, other, f"{DAY} 12:00+00")

    with connect(database_url) as deleting:
        deleting.execute("DELETE FROM agents WHERE id = %s", (agent,))
        conn.execute("SET lock_timeout = '2s'")
        serve(conn)
        served = {key[0] for key in stored_days(conn)}
        deleting.rollback()

    assert served == {other}
    serve(conn)
    assert_days_are_right(conn)


def test_days_are_found_by_index_on_statistics_of_an_empty_database(undone: Connection) -> None:
    undone.execute("ANALYZE conversations, messages, leads, worker.stats_marks")
    agent = add_agent(undone, add_owner(undone))
    conversation = add_conversation(undone, agent, f"{DAY} 12:00+00")
    undone.execute(
        "INSERT INTO messages (conversation_id, role, content, created_at)"
        " SELECT %s, 'user', 'x', now() - n * interval '1 hour' FROM generate_series(1, 3000) AS n",
        (conversation,),
    )

    plans: list[str] = []
    undone.add_notice_handler(lambda notice: plans.append(notice.message_primary or ""))
    undone.execute("LOAD 'auto_explain'")
    undone.execute(
        "SET LOCAL auto_explain.log_min_duration = 0;"
        "SET LOCAL auto_explain.log_nested_statements = on; SET LOCAL client_min_messages = log"
    )
    daily_stats.recompute_days(undone, [agent], [date.fromisoformat(DAY)])

    text = "\n".join(plans)
    assert "messages_agent_id_created_at_idx" in text
    assert "conversations_agent_id_visitor_id_created_at_idx" in text
    assert "analytics_events_opens_idx" in text
    assert "Seq Scan" not in text
