"""What happens by itself: profiles, counters, notifications, lessons and history."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from db.pool import Connection
from tests.integration.schema_world import (
    OTHER,
    OWNER,
    acting_as,
    build,
    columns,
    insert,
    row_id,
    sign_up,
)

AGENT = row_id("agents")
CONVERSATION = row_id("conversations")


def one(conn: Connection, query: str, *values: Any) -> Any:
    """The first column of the first row."""
    found = conn.execute(query.encode(), values).fetchone()
    return None if found is None else found[0]


def counters(conn: Connection, agent: UUID = AGENT) -> tuple[Any, ...] | None:
    return conn.execute(
        "SELECT total_conversations, total_messages, total_leads FROM agents WHERE id = %s", [agent]
    ).fetchone()


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"full_name": " Ann "}, "Ann"),
        ({"name": "Bo"}, "Bo"),
        ({"full_name": {"first": "x"}}, None),
        ({"full_name": "x" * 10_000}, "x" * 500),
        ({"full_name": 7}, "7"),
        (["not", "an", "object"], None),
        ("text", None),
        ({}, None),
    ],
)
def test_any_metadata_signs_up(conn: Connection, metadata: Any, name: str | None) -> None:
    sign_up(conn, OWNER, "ann@example.com", metadata)

    profile = conn.execute("SELECT email, full_name FROM user_profiles").fetchone()
    assert profile == ("ann@example.com", name)


def test_a_sign_up_by_phone_has_a_profile_too(conn: Connection) -> None:
    conn.execute("INSERT INTO auth.users (phone) VALUES ('4912345')")

    assert one(conn, "SELECT phone FROM user_profiles") == "4912345"


def test_a_changed_address_reaches_the_profile_and_keeps_the_name(conn: Connection) -> None:
    sign_up(conn, OWNER, "old@example.com", {"full_name": "Ann"})

    conn.execute("UPDATE auth.users SET email = 'new@example.com'")

    profile = conn.execute("SELECT email, full_name FROM user_profiles").fetchone()
    assert profile == ("new@example.com", "Ann")


def test_inserts_deletes_and_moves_keep_every_counter(conn: Connection) -> None:
    build(conn)
    elsewhere, extra, here = row_id("agents", OTHER), uuid4(), CONVERSATION
    kept = row_id("messages")
    insert(conn, "conversations", {"id": extra, **columns("conversations", OWNER)})
    conn.execute(
        "INSERT INTO messages (conversation_id, role, content)"
        " SELECT %s, 'user', 'x' FROM generate_series(1, 5)",
        [extra],
    )
    steps = [counters(conn)]

    for statement, values in (
        ("UPDATE conversations SET agent_id = %s WHERE id = %s", (elsewhere, extra)),
        ("UPDATE messages SET conversation_id = %s WHERE conversation_id = %s", (here, extra)),
        ("UPDATE leads SET agent_id = %s WHERE agent_id = %s", (elsewhere, AGENT)),
        ("DELETE FROM messages WHERE conversation_id = %s AND id <> %s", (here, kept)),
        ("DELETE FROM conversations WHERE id IN (%s, %s)", (extra, here)),
    ):
        conn.execute(statement.encode(), values)
        steps.append(counters(conn))

    assert steps == [(2, 6, 1), (1, 1, 1), (1, 6, 1), (1, 6, 0), (1, 1, 0), (0, 0, 0)]
    assert counters(conn, elsewhere) == (1, 1, 2)


def test_a_visitor_without_any_right_to_them_moves_the_counters(conn: Connection) -> None:
    build(conn)

    with acting_as(conn, "anon"):
        insert(conn, "conversations", {"id": uuid4(), **columns("conversations", OWNER)})
        insert(conn, "messages", {"id": uuid4(), **columns("messages", OWNER)})
        conn.execute("RESET ROLE")
        moved = counters(conn)

    assert moved == (2, 2, 1)


def test_a_deleted_message_leaves_the_length_of_its_conversation(conn: Connection) -> None:
    build(conn)
    late = uuid4()
    conn.execute(
        "INSERT INTO messages (id, conversation_id, role, content, created_at)"
        " SELECT %s, id, 'user', 'x', created_at + interval '90 s' FROM conversations"
        " WHERE id = %s",
        [late, CONVERSATION],
    )

    conn.execute("DELETE FROM messages WHERE id = %s", [late])

    length = one(conn, "SELECT duration_seconds FROM conversations WHERE id = %s", CONVERSATION)
    assert length == 90


@pytest.mark.parametrize("at", ["1850-01-01", "-infinity", "infinity"])
def test_a_message_of_any_time_is_written(conn: Connection, at: str) -> None:
    build(conn)
    length = "SELECT duration_seconds FROM conversations WHERE id = %s"
    before = one(conn, length, CONVERSATION)

    conn.execute(
        "INSERT INTO messages (conversation_id, role, content, created_at)"
        " VALUES (%s, 'user', 'x', %s)",
        [CONVERSATION, at],
    )

    assert one(conn, length, CONVERSATION) == before


def test_a_conversation_knows_its_length_and_its_messages(conn: Connection) -> None:
    build(conn)
    conn.execute("UPDATE conversations SET created_at = now() - interval '1 hour'")

    conn.execute(
        "INSERT INTO messages (conversation_id, role, content, created_at)"
        " SELECT id, 'user', 'x', created_at + interval '90 seconds' FROM conversations"
    )

    found = conn.execute(
        "SELECT message_count, duration_seconds FROM conversations WHERE id = %s", [CONVERSATION]
    ).fetchone()
    assert found == (2, 90)


def test_a_conversation_is_a_lead_while_it_has_one(conn: Connection) -> None:
    build(conn)
    state = "SELECT is_lead, lead_captured_at IS NOT NULL FROM conversations WHERE id = %s"
    before = conn.execute(state.encode(), [CONVERSATION]).fetchone()

    conn.execute("DELETE FROM leads WHERE conversation_id = %s", [CONVERSATION])

    after = conn.execute(state.encode(), [CONVERSATION]).fetchone()
    assert (before, after) == ((True, True), (False, False))


def test_counters_are_no_edit_of_the_agent(conn: Connection) -> None:
    build(conn)
    conn.execute("UPDATE agents SET updated_at = '2020-01-01', name = name")
    conn.execute("ALTER TABLE agents DISABLE TRIGGER touch_updated_at")
    conn.execute("UPDATE agents SET updated_at = '2020-01-01'")
    conn.execute("ALTER TABLE agents ENABLE TRIGGER touch_updated_at")

    insert(conn, "messages", {"id": uuid4(), **columns("messages", OWNER)})
    counted = one(conn, "SELECT updated_at::date::text FROM agents WHERE id = %s", AGENT)
    conn.execute("UPDATE agents SET name = 'New'")
    edited = one(conn, "SELECT updated_at > '2021-01-01' FROM agents WHERE id = %s", AGENT)

    assert (counted, edited) == ("2020-01-01", True)


def test_owners_are_told_of_conversations_and_leads(conn: Connection) -> None:
    build(conn)

    told = conn.execute(
        "SELECT type, message FROM notifications WHERE user_id = %s AND title LIKE 'New%%'"
        " ORDER BY type",
        [OWNER],
    ).fetchall()

    assert told == [
        ("new_conversation", "A visitor started a conversation with Agent."),
        ("new_lead", "lead@example.com left an address with Agent."),
    ]


def test_the_usage_limit_is_told_once_at_eighty_and_once_at_a_hundred_percent(
    conn: Connection,
) -> None:
    sign_up(conn, OWNER, "a@example.com")
    conn.execute("UPDATE user_profiles SET monthly_message_limit = 10")

    for _ in range(12):
        conn.execute("SELECT increment_message_usage(%s)", [OWNER])

    told = conn.execute("SELECT priority FROM notifications ORDER BY priority").fetchall()
    assert told == [("high",), ("urgent",)]


def test_an_approved_correction_teaches_once(conn: Connection) -> None:
    build(conn)
    answer, correction = uuid4(), uuid4()
    insert(
        conn,
        "messages",
        {"id": answer, "conversation_id": CONVERSATION, "role": "assistant", "content": "wrong"},
    )
    insert(
        conn,
        "corrections",
        {**columns("corrections", OWNER), "id": correction, "message_id": answer},
    )

    for status in ("approved", "rejected", "approved", "applied"):
        conn.execute("UPDATE corrections SET status = %s WHERE id = %s", [status, correction])

    taught = conn.execute(
        "SELECT input, expected_output, source FROM training_examples WHERE correction_id = %s",
        [correction],
    ).fetchall()
    marked = conn.execute(
        "SELECT was_corrected, correction_id FROM messages WHERE id = %s", [answer]
    ).fetchone()
    assert (taught, marked) == ([("hello", "b", "correction")], (True, correction))


def test_publishing_gives_an_address_that_stays(conn: Connection) -> None:
    build(conn)
    agent = uuid4()
    insert(conn, "agents", {"id": agent, "user_id": OWNER, "name": "x"})
    draft = one(conn, "SELECT public_url FROM agents WHERE id = %s", agent)

    for published in (True, False, True):
        conn.execute("UPDATE agents SET is_published = %s WHERE id = %s", [published, agent])
    live = conn.execute(
        "SELECT public_url, embed_code FROM agents WHERE id = %s", [agent]
    ).fetchone()

    url = f"https://app.avivro.com/a/{agent}"
    code = f'<script src="https://app.avivro.com/widget.js" data-agent-id="{agent}" async></script>'
    assert (draft, live) == (None, (url, code))


def test_a_change_of_tier_closes_the_old_subscription_and_opens_the_new(conn: Connection) -> None:
    sign_up(conn, OWNER, "a@example.com")

    for tier in ("starter", "starter", "enterprise"):
        conn.execute("UPDATE user_profiles SET subscription_tier = %s", [tier])

    history = conn.execute(
        "SELECT tier, ended_at IS NULL FROM subscription_history ORDER BY started_at"
    ).fetchall()
    assert history == [("starter", False), ("enterprise", True)]


def test_an_account_can_be_deleted_with_all_it_owns_but_its_bills(conn: Connection) -> None:
    build(conn)

    conn.execute("DELETE FROM auth.users WHERE id = %s", [OWNER])

    left = conn.execute(
        "SELECT (SELECT count(*) FROM agents WHERE user_id = %(user)s),"
        " (SELECT count(*) FROM messages WHERE conversation_id = %(conversation)s),"
        " (SELECT count(*) FROM billing_transactions WHERE id = %(bill)s AND user_id IS NULL),"
        " (SELECT count(*) FROM usage_logs WHERE id = %(usage)s AND user_id IS NULL)",
        {
            "user": OWNER,
            "conversation": CONVERSATION,
            "bill": row_id("billing_transactions"),
            "usage": row_id("usage_logs"),
        },
    ).fetchone()
    assert left == (0, 0, 1, 1)
