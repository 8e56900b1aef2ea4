"""The documented functions, called as the web tier calls them."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from db.pool import Connection
from tests.integration.schema_world import (
    OTHER,
    OWNER,
    VECTOR,
    acting_as,
    build,
    columns,
    insert,
    row_id,
    sign_up,
)

AGENT = row_id("agents")


def one(conn: Connection, query: str, *values: Any) -> Any:
    """The first column of the first row."""
    found = conn.execute(query.encode(), values).fetchone()
    return None if found is None else found[0]


def add_conversations(conn: Connection, *names: str) -> None:
    for name in names:
        values = {**columns("conversations", OWNER), "visitor_name": name}
        insert(conn, "conversations", values)


def test_analytics_count_the_period_and_its_last_day(conn: Connection) -> None:
    build(conn)
    conn.execute(
        "UPDATE conversations SET created_at = '2026-01-31 20:00+00', sentiment_score = 0.5,"
        " sentiment_label = 'positive'"
    )
    conn.execute("UPDATE messages SET created_at = '2026-01-31 20:00+00', response_time_ms = 300")
    conn.execute("UPDATE leads SET created_at = '2026-02-01 00:00+00'")

    found = [
        conn.execute(
            "SELECT * FROM get_agent_analytics(%s, %s, %s)", [AGENT, start, end]
        ).fetchone()
        for start, end in (("2026-01-01", "2026-01-31"), ("2026-01-31", "2026-02-01"))
    ]

    assert [[float(value) for value in row or ()] for row in found] == [
        [1, 1, 0, 0.5, 1, 0, 0, 300, 0],
        [1, 1, 1, 0.5, 1, 0, 0, 300, 1],
    ]


def test_current_usage_counts_what_the_user_has(conn: Connection) -> None:
    build(conn)
    conn.execute("SELECT increment_message_usage(%s)", [OWNER])
    conn.execute("UPDATE knowledge_sources SET file_size = 3145728")

    usage = conn.execute("SELECT * FROM get_current_usage(%s)", [OWNER]).fetchone()

    assert [float(value) for value in usage or ()] == [1, 1000, 999, 1, 1, 1, 3]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT count(*) FROM get_current_usage(%s)", 0),
        ("SELECT total_conversations FROM get_agent_analytics(%s)", 0),
        ("SELECT count(*) FROM search_conversations(%s)", 0),
        ("SELECT get_conversation_with_messages(%s)", None),
    ],
)
def test_nobody_reads_another_customers_figures(
    conn: Connection, query: str, expected: object
) -> None:
    build(conn)
    about = {"usage": OWNER, "analytics": AGENT, "search": AGENT}
    key = next((v for k, v in about.items() if k in query), row_id("conversations"))

    with acting_as(conn, "authenticated", OTHER):
        found = one(conn, query, key)

    assert found == expected


def test_a_conversation_comes_with_its_messages_in_order(conn: Connection) -> None:
    build(conn)
    for number, role in enumerate(("assistant", "user"), start=1):
        conn.execute(
            "INSERT INTO messages (conversation_id, role, content, created_at)"
            " VALUES (%s, %s, %s, now() + make_interval(secs => %s))",
            [row_id("conversations"), role, str(number), number],
        )

    with acting_as(conn, "authenticated", OWNER):
        found = one(conn, "SELECT get_conversation_with_messages(%s)", row_id("conversations"))

    said = [message["content"] for message in found["messages"]]
    assert (found["id"], said) == (str(row_id("conversations")), ["hello", "1", "2"])


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("100%", ["100% Sure"]),
        ("a_b", ["a_b"]),
        ("O'Hara", ["O'Hara"]),
        ("back\\slash", ["back\\slash"]),
        ("%", ["100% Sure"]),
        ("AXB", ["axb"]),
        ("needle", ["by message"]),
        ("nothing like it", []),
    ],
)
def test_a_search_term_is_text_not_a_pattern(
    conn: Connection, term: str, expected: list[str]
) -> None:
    build(conn)
    add_conversations(conn, "100% Sure", "a_b", "axb", "O'Hara", "back\\slash", "by message")
    conn.execute(
        "INSERT INTO messages (conversation_id, role, content)"
        " SELECT id, 'user', 'a needle in hay' FROM conversations WHERE visitor_name = 'by message'"
    )

    found = conn.execute(
        "SELECT visitor_name FROM search_conversations(%s, %s)", [AGENT, term]
    ).fetchall()

    assert [row[0] for row in found] == expected


def test_search_filters_and_pages_with_the_total_of_all_matches(conn: Connection) -> None:
    build(conn)
    add_conversations(conn, *"abcdef")
    conn.execute(
        "UPDATE conversations SET status = 'resolved' WHERE visitor_name IN ('a', 'b', 'c')"
    )

    page = conn.execute(
        "SELECT visitor_name, total_count FROM search_conversations("
        'agent_id => %s, status => %s, "limit" => 2, "offset" => 1)',
        [AGENT, "resolved"],
    ).fetchall()

    assert page == [("b", 3), ("a", 3)]


def test_search_keeps_to_its_dates(conn: Connection) -> None:
    build(conn)
    conn.execute("UPDATE conversations SET created_at = '2026-05-05 12:00+00'")

    found = [
        one(
            conn,
            "SELECT count(*) FROM search_conversations(%s, start_date => %s, end_date => %s)",
            AGENT,
            start,
            end,
        )
        for start, end in (
            ("2026-05-01", "2026-05-05"),
            ("2026-05-06", "2026-05-09"),
            ("2026-05-01", "2026-05-04"),
        )
    ]

    assert found == [1, 0, 0]


def test_usage_is_logged_and_summed_by_month_to_the_last_digit(conn: Connection) -> None:
    build(conn)

    for kind, tokens in (("message", 3), ("message", 4), ("embedding", 5)):
        conn.execute("SELECT log_usage(%s, %s, %s, %s, 0.00000001)", [OWNER, AGENT, kind, tokens])

    summary = conn.execute(
        "SELECT total_messages, total_tokens, total_ai_requests, total_ai_cost::text,"
        " messages_remaining FROM monthly_usage_summary"
        " WHERE user_id = %s AND year = extract(year FROM now())",
        [OWNER],
    ).fetchone()
    assert summary == (2, 12, 3, "0.0000000300", 998)


def test_the_limit_refuses_and_a_new_period_begins_by_itself(conn: Connection) -> None:
    sign_up(conn, OWNER, "a@example.com")
    conn.execute("UPDATE user_profiles SET monthly_message_limit = 2")
    take = "SELECT increment_message_usage(%s)"

    first = [one(conn, take, OWNER) for _ in range(3)]
    conn.execute("UPDATE user_profiles SET usage_period_start = usage_period_start - 70")
    second = [one(conn, take, OWNER) for _ in range(3)]

    assert (first, second) == ([True, True, False], [True, True, False])


def test_a_reset_twice_is_a_reset_once(conn: Connection) -> None:
    build(conn)
    conn.execute(
        "UPDATE user_profiles SET monthly_messages_used = 5,"
        " usage_period_start = usage_period_start - interval '3 months' WHERE id = %s",
        [OWNER],
    )

    resets = [one(conn, "SELECT reset_monthly_usage()") for _ in range(2)]

    state = conn.execute(
        "SELECT monthly_messages_used, usage_period_start ="
        " date_trunc('month', now() AT TIME ZONE 'UTC')::date FROM user_profiles WHERE id = %s",
        [OWNER],
    ).fetchone()
    assert (resets, state) == ([1, 0], (0, True))


def test_notifications_and_activity_are_written_as_given(conn: Connection) -> None:
    build(conn)

    notified = one(
        conn, "SELECT create_notification(%s, 'usage_limit', 't', 'm', %s, 'high')", OWNER, AGENT
    )
    logged = one(
        conn,
        "SELECT log_activity(%s, 'exported', 'agent', %s, 'CSV', %s)",
        OWNER,
        AGENT,
        Jsonb({"before": 1}),
    )

    rows = conn.execute(
        "SELECT n.priority, n.agent_id, a.action, a.changes FROM notifications n, activity_logs a"
        " WHERE n.id = %s AND a.id = %s",
        [notified, logged],
    ).fetchall()
    assert rows == [("high", AGENT, "exported", {"before": 1})]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Thanks, that was very helpful!", "positive"),
        ("This is not good. It is broken and I want a refund", "negative"),
        ("The agent wasn\u2019t helpful", "negative"),
        ("When do you open?", "neutral"),
        ("", "neutral"),
        (None, "neutral"),
    ],
)
def test_the_quick_estimate_tells_plain_cases_apart(
    conn: Connection, text: str | None, label: str
) -> None:
    found = one(conn, "SELECT analyze_sentiment(%s)", text)

    assert (found["label"], -1 <= found["score"] <= 1) == (label, True)


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize(
    "call",
    [
        "create_notification(NULL, NULL, NULL, NULL)",
        "log_activity(NULL, NULL)",
        "log_usage(NULL, NULL, NULL)",
        "increment_message_usage(NULL)",
        "reset_monthly_usage()",
        "verify_api_key('x')",
        "record_training_use(NULL, NULL)",
        "enqueue_job('probe')",
    ],
)
def test_system_functions_are_for_the_service_role_only(
    conn: Connection, role: str, call: str
) -> None:
    with (
        acting_as(conn, role, uuid4()),
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for function"),
    ):
        conn.execute(f"SELECT {call}".encode())


def add_chunk(conn: Connection, agent: UUID, content: str, **values: Any) -> None:
    source = row_id("knowledge_sources", OWNER if agent == AGENT else OTHER)
    chunk = {"agent_id": agent, "source_id": source, "content": content, "embedding": VECTOR}
    insert(conn, "knowledge_chunks", {**chunk, **values})


def test_a_match_is_this_agents_of_its_model_above_the_threshold_best_first(
    conn: Connection,
) -> None:
    build(conn)
    conn.execute("DELETE FROM knowledge_chunks")
    conn.execute("UPDATE agents SET embedding_model = 'now'")
    near = "[" + ",".join(["1", "1"] + ["0"] * 1534) + "]"
    far = "[" + ",".join(["0", "1"] + ["0"] * 1534) + "]"
    add_chunk(conn, AGENT, "near", embedding=near, embedding_model="now")
    add_chunk(conn, AGENT, "exact")
    add_chunk(conn, AGENT, "far", embedding=far)
    add_chunk(conn, AGENT, "old model", embedding_model="before")
    add_chunk(conn, AGENT, "not embedded", embedding=None)
    add_chunk(conn, row_id("agents", OTHER), "another agent's")

    found = conn.execute(
        "SELECT content, round(similarity::numeric, 3)::float"
        " FROM match_knowledge_chunks(%s, %s, 0.5, 10)",
        [VECTOR, AGENT],
    ).fetchall()

    assert found == [("exact", 1.0), ("near", 0.707)]


def test_a_match_count_of_none_or_nothing_finds_nothing(conn: Connection) -> None:
    build(conn)

    found = [
        one(conn, "SELECT count(*) FROM match_knowledge_chunks(%s, %s, 0, %s)", VECTOR, AGENT, n)
        for n in (0, -1, 1)
    ]

    assert found == [0, 0, 1]


def test_both_views_show_the_owner_their_own(conn: Connection) -> None:
    build(conn)

    with acting_as(conn, "authenticated", OWNER):
        summary = conn.execute(
            "SELECT agent_id, active_conversations_count, new_leads_last_7_days,"
            " knowledge_sources_count, pending_corrections_count FROM agent_dashboard_summary"
        ).fetchall()
        recent = conn.execute(
            "SELECT activity_type, user_id FROM recent_activity ORDER BY 1"
        ).fetchall()

    assert summary == [(AGENT, 1, 1, 1, 1)]
    assert recent == [("conversation", OWNER), ("knowledge_source", OWNER), ("lead", OWNER)]
