"""Counters, limits and marks when many write at once."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

from db.pool import Connection, connect
from tests.integration.schema_world import OTHER, OWNER, build, insert, row_id, sign_up

WRITERS = 6
WRITES_EACH = 40
WRONG_COUNTERS = """
SELECT 'conversation ' || c.id FROM conversations AS c
WHERE c.message_count <> (SELECT count(*) FROM messages AS m WHERE m.conversation_id = c.id)
   OR c.is_lead <> EXISTS (SELECT FROM leads AS l WHERE l.conversation_id = c.id)
UNION ALL
SELECT 'agent ' || a.id FROM agents AS a
WHERE (a.total_conversations, a.total_messages, a.total_leads) IS DISTINCT FROM (
    (SELECT count(*)::int FROM conversations AS c WHERE c.agent_id = a.id),
    (SELECT count(*)::int FROM messages AS m JOIN conversations AS c ON c.id = m.conversation_id
     WHERE c.agent_id = a.id),
    (SELECT count(*)::int FROM leads AS l WHERE l.agent_id = a.id))
"""


def run_at_once(url: str, work: Callable[[Connection, random.Random], None]) -> None:
    """Each writer has its own connection and its own dice; the first error is raised."""

    def write(seed: int) -> None:
        with connect(url, autocommit=True) as conn:
            work(conn, random.Random(seed))

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(WRITERS)))


def test_counters_are_exact_after_any_mix_of_writers(conn: Connection, database_url: str) -> None:
    build(conn)
    agents = [row_id("agents", OWNER), row_id("agents", OTHER)]
    conversations: list[UUID] = []
    for agent in agents * 4:
        conversations.append(uuid4())
        insert(conn, "conversations", {"id": conversations[-1], "agent_id": agent})

    def write(own: Connection, dice: random.Random) -> None:
        for _ in range(WRITES_EACH):
            some = dice.sample(conversations, 4)
            own.execute(
                "INSERT INTO messages (conversation_id, role, content)"
                " SELECT unnest(%s::uuid[]), 'user', 'x'",
                [some],
            )
            own.execute(
                dice.choice(
                    [
                        b"DELETE FROM messages WHERE id IN (SELECT id FROM messages"
                        b" WHERE conversation_id = %(a)s LIMIT 2 FOR UPDATE SKIP LOCKED)",
                        b"UPDATE conversations SET agent_id = %(agent)s WHERE id = %(a)s",
                        b"UPDATE messages SET conversation_id = %(b)s WHERE id = (SELECT id"
                        b" FROM messages WHERE conversation_id = %(a)s LIMIT 1"
                        b" FOR UPDATE SKIP LOCKED)",
                        b"INSERT INTO leads (agent_id, conversation_id) SELECT agent_id, id"
                        b" FROM conversations WHERE id = %(a)s",
                    ]
                ),
                {"a": some[0], "b": some[1], "agent": dice.choice(agents)},
            )

    run_at_once(database_url, write)

    assert conn.execute(WRONG_COUNTERS.encode()).fetchall() == []


def test_a_bulk_insert_counts_like_single_ones(conn: Connection) -> None:
    build(conn)
    conn.execute(
        "INSERT INTO conversations (agent_id) SELECT a.id FROM agents AS a, generate_series(1, 50)"
    )

    conn.execute(
        "INSERT INTO messages (conversation_id, role, content)"
        " SELECT c.id, 'user', 'x' FROM conversations AS c, generate_series(1, 20)"
    )

    sums = conn.execute("SELECT DISTINCT total_messages FROM agents").fetchall()
    assert (conn.execute(WRONG_COUNTERS.encode()).fetchall(), sums) == ([], [(1021,)])


def test_no_two_callers_share_the_last_message(conn: Connection, database_url: str) -> None:
    sign_up(conn, OWNER, "a@example.com")
    conn.execute("UPDATE user_profiles SET monthly_message_limit = 100")
    granted: list[bool] = []

    def take(own: Connection, dice: random.Random) -> None:
        for _ in range(WRITES_EACH):
            row = own.execute("SELECT increment_message_usage(%s)", [OWNER]).fetchone()
            granted.append(bool(row and row[0]))

    run_at_once(database_url, take)

    used = conn.execute("SELECT monthly_messages_used FROM user_profiles").fetchone()
    assert (granted.count(True), len(granted), used) == (100, WRITERS * WRITES_EACH, (100,))


def test_usage_of_many_writers_sums_up(conn: Connection, database_url: str) -> None:
    build(conn)

    def log(own: Connection, dice: random.Random) -> None:
        for _ in range(WRITES_EACH):
            own.execute("SELECT log_usage(%s, NULL, 'message', 2, 0.0000001)", [OWNER])

    run_at_once(database_url, log)

    total = conn.execute(
        "SELECT total_messages, total_tokens, total_ai_cost = 0.0000001 * total_messages"
        " FROM monthly_usage_summary WHERE year <> 2030"
    ).fetchall()
    assert total == [(WRITERS * WRITES_EACH, 2 * WRITERS * WRITES_EACH, True)]


def test_a_key_lets_exactly_its_limit_through(conn: Connection, database_url: str) -> None:
    build(conn)
    conn.execute(
        "UPDATE api_keys SET key_hash = encode(sha256('k'), 'hex') WHERE user_id = %s", [OWNER]
    )
    conn.execute("UPDATE api_keys SET rate_limit_per_day = 50, rate_limit_per_minute = 1000")
    passed: list[bool] = []

    def ask(own: Connection, dice: random.Random) -> None:
        for _ in range(WRITES_EACH):
            row = own.execute("SELECT is_valid FROM verify_api_key('k')").fetchone()
            passed.append(bool(row and row[0]))

    run_at_once(database_url, ask)

    total = conn.execute(
        "SELECT total_requests FROM api_keys WHERE user_id = %s", [OWNER]
    ).fetchone()
    assert (passed.count(True), total) == (50, (50,))


def test_crosswise_inserts_of_two_transactions_do_not_wait_for_marks(
    conn: Connection, database_url: str
) -> None:
    build(conn)
    event = {"event_type": "widget_opened"}

    with connect(database_url) as first, connect(database_url) as second:
        second.execute("SET lock_timeout = '1s'")
        for one, user in ((first, OWNER), (second, OTHER), (first, OTHER), (second, OWNER)):
            insert(one, "analytics_events", {"agent_id": row_id("agents", user), **event})
        second.commit()

    marks = conn.execute("SELECT count(*) >= 4 FROM worker.stats_marks").fetchone()
    assert marks == (True,)
