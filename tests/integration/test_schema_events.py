"""What writes tell the workers and others: domain events, marks, and the audit trail."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from db.pool import Connection
from tests.integration.schema_world import (
    OTHER,
    OWNER,
    acting_as,
    build,
    columns,
    insert,
    row_id,
)

AGENT = row_id("agents")
CONVERSATION = row_id("conversations")


def one(conn: Connection, query: str, *values: Any) -> Any:
    """The first column of the first row."""
    found = conn.execute(query.encode(), values).fetchone()
    return None if found is None else found[0]


def add_webhook(conn: Connection, *events: str, **values: Any) -> UUID:
    key: UUID = values.pop("id", None) or uuid4()
    hook = {**columns("webhooks", OWNER), "id": key, "events": list(events), **values}
    insert(conn, "webhooks", hook)
    return key


def deliveries(conn: Connection, webhook: UUID) -> list[Any]:
    rows = conn.execute(
        "SELECT event_type FROM webhook_deliveries WHERE webhook_id = %s ORDER BY created_at, 1",
        [webhook],
    )
    return [row[0] for row in rows]


@pytest.mark.parametrize("subscribed", ["lead.captured", "lead.*", "*"])
def test_a_webhook_hears_what_it_subscribed_to(conn: Connection, subscribed: str) -> None:
    build(conn)
    hears = add_webhook(conn, subscribed, "billing.period_closed")
    deaf = [
        add_webhook(conn, "message.created"),
        add_webhook(conn, subscribed, is_active=False),
        add_webhook(conn, subscribed, user_id=OTHER),
    ]

    insert(conn, "leads", {"id": uuid4(), **columns("leads", OWNER)})

    assert deliveries(conn, hears) == ["lead.captured"]
    assert [deliveries(conn, webhook) for webhook in deaf] == [[], [], []]


def test_every_domain_event_of_the_database_is_emitted(conn: Connection) -> None:
    build(conn)
    webhook = add_webhook(conn, "*")
    insert(conn, "conversations", {"id": uuid4(), **columns("conversations", OWNER)})
    insert(conn, "messages", {"id": uuid4(), **columns("messages", OWNER)})
    insert(conn, "leads", {"id": uuid4(), **columns("leads", OWNER)})

    for statement in (
        "UPDATE conversations SET status = 'resolved', sentiment_label = 'negative' WHERE id = %s",
        "UPDATE leads SET notes = 'called' WHERE id = %s",
        "UPDATE leads SET notes = 'called' WHERE id = %s",
        "UPDATE knowledge_sources SET status = 'completed' WHERE id = %s",
        "UPDATE knowledge_sources SET status = 'failed' WHERE id = %s",
        "UPDATE corrections SET status = 'approved' WHERE id = %s",
        "UPDATE user_profiles SET monthly_messages_used = monthly_message_limit WHERE id = %s",
    ):
        table = statement.split()[1]
        conn.execute(statement.encode(), [row_id(table)])

    assert sorted(deliveries(conn, webhook)) == [
        "conversation.negative",
        "conversation.resolved",
        "conversation.started",
        "correction.approved",
        "knowledge.completed",
        "knowledge.failed",
        "lead.captured",
        "lead.updated",
        "message.created",
        "usage.limit_reached",
    ]


def test_five_hundred_endpoints_get_one_row_each_of_the_same_event(conn: Connection) -> None:
    build(conn)
    for number in range(500):
        add_webhook(conn, "conversation.*", name=str(number))

    insert(conn, "conversations", {"id": uuid4(), **columns("conversations", OWNER)})

    spread = conn.execute(
        "SELECT count(*), count(DISTINCT webhook_id), count(DISTINCT event_id)"
        " FROM webhook_deliveries WHERE event_type = 'conversation.started'"
    ).fetchone()
    assert spread == (500, 500, 1)


def test_an_event_tells_no_visitor_address(conn: Connection) -> None:
    build(conn)
    add_webhook(conn, "conversation.started")
    values = {**columns("conversations", OWNER), "visitor_ip": "203.0.113.9"}

    insert(conn, "conversations", {"id": uuid4(), **values})

    content = one(
        conn, "SELECT event_data::text FROM webhook_deliveries WHERE event_type LIKE 'conv%%'"
    )
    assert "203.0.113.9" not in content


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO messages (conversation_id, role, content, created_at)"
        " VALUES (%(conversation)s, 'user', 'x', '2026-03-01 23:30+00')",
        "INSERT INTO usage_logs (agent_id, usage_type, created_at)"
        " VALUES (%(agent)s, 'message', '2026-03-01 23:30+00')",
        "INSERT INTO analytics_events (agent_id, event_type, created_at)"
        " VALUES (%(agent)s, 'widget_opened', '2026-03-01 23:30+00')",
        "INSERT INTO leads (agent_id, created_at) VALUES (%(agent)s, '2026-03-01 23:30+00')",
        "INSERT INTO conversations (agent_id, created_at)"
        " VALUES (%(agent)s, '2026-03-01 23:30+00')",
    ],
)
def test_a_write_marks_its_moment(conn: Connection, statement: str) -> None:
    build(conn)
    conn.execute("DELETE FROM worker.stats_marks")

    conn.execute(statement.encode(), {"agent": AGENT, "conversation": CONVERSATION})

    marked = conn.execute(
        "SELECT DISTINCT agent_id, from_at = '2026-03-01 23:30+00', until_at = from_at"
        " FROM worker.stats_marks WHERE from_at < '2026-06-01'"
    ).fetchall()
    assert marked == [(AGENT, True, True)]


def test_a_deleted_conversation_marks_the_days_of_its_messages(conn: Connection) -> None:
    build(conn)
    conn.execute("UPDATE messages SET created_at = '2026-03-01 12:00+00'")
    conn.execute("DELETE FROM worker.stats_marks")

    conn.execute("DELETE FROM conversations WHERE id = %s", [CONVERSATION])

    marked = conn.execute(
        "SELECT count(*) FROM worker.stats_marks"
        " WHERE from_at = '2026-03-01 12:00+00' AND agent_id = %s",
        [AGENT],
    ).fetchone()
    assert marked != (0,)


def test_only_agents_that_want_it_get_their_conversations_scored(conn: Connection) -> None:
    build(conn)
    conn.execute("UPDATE agents SET enable_sentiment_analysis = false WHERE id = %s", [AGENT])
    conn.execute("DELETE FROM worker.sentiment_marks")

    for user in (OWNER, OTHER):
        insert(conn, "messages", {"id": uuid4(), **columns("messages", user)})

    marked = conn.execute("SELECT conversation_id FROM worker.sentiment_marks").fetchall()
    assert marked == [(row_id("conversations", OTHER),)]


def test_an_edited_message_loses_its_score_and_is_marked_again(conn: Connection) -> None:
    build(conn)
    conn.execute("UPDATE messages SET sentiment_score = 0.5, sentiment_label = 'positive'")
    conn.execute("DELETE FROM worker.sentiment_marks")

    conn.execute("UPDATE messages SET content = 'edited' WHERE id = %s", [row_id("messages")])

    state = conn.execute(
        "SELECT sentiment_score, (SELECT count(*) FROM worker.sentiment_marks) FROM messages"
        " WHERE id = %s",
        [row_id("messages")],
    ).fetchone()
    assert state == (None, 1)


def test_the_trail_says_who_changed_what_from_where(conn: Connection) -> None:
    build(conn)
    headers = {"x-forwarded-for": "203.0.113.9, 10.0.0.1", "user-agent": "Firefox"}

    with acting_as(conn, "authenticated", OWNER):
        conn.execute(
            "SELECT set_config('request.headers', (%s::jsonb)::text, true)", [Jsonb(headers)]
        )
        conn.execute("UPDATE agents SET name = 'New', tone = tone WHERE id = %s", [AGENT])
        entry = conn.execute(
            "SELECT user_id, changes, host(ip_address), user_agent FROM activity_logs"
            " WHERE action = 'updated' AND resource_type = 'agent'"
        ).fetchall()

    changes = {"before": {"name": "Agent"}, "after": {"name": "New"}}
    assert entry == [(OWNER, changes, "203.0.113.9", "Firefox")]


def test_the_trail_keeps_no_secret(conn: Connection) -> None:
    build(conn)
    webhook = add_webhook(
        conn, "*", secret="whsec_very_secret", custom_headers={"k": "token_value"}
    )
    conn.execute("UPDATE webhooks SET secret = 'another_secret' WHERE id = %s", [webhook])

    kept = one(conn, "SELECT string_agg(a::text, '') FROM activity_logs AS a")

    found = [
        word for word in ("very_secret", "another_secret", "token_value", OWNER.hex) if word in kept
    ]
    assert found == []


def test_workers_progress_is_no_entry_of_the_trail(conn: Connection) -> None:
    build(conn)
    conn.execute("DELETE FROM activity_logs")

    conn.execute("UPDATE knowledge_sources SET status = 'processing', progress = '{}'")

    assert one(conn, "SELECT count(*) FROM activity_logs") == 0
