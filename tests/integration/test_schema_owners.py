"""API keys, training use, and what owners ask of the workers."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from db.pool import Connection
from tests.integration.schema_world import OTHER, OWNER, acting_as, build, row_id


def one(conn: Connection, query: str, *values: Any) -> Any:
    """The first column of the first row."""
    found = conn.execute(query.encode(), values).fetchone()
    return None if found is None else found[0]


def become(conn: Connection, user: UUID) -> None:
    """Sign in for the rest of the test."""
    conn.execute("SELECT set_config('request.jwt.claims', %s, false)", [f'{{"sub": "{user}"}}'])
    conn.execute("SET ROLE authenticated")


def make_key(conn: Connection, **values: Any) -> str:
    become(conn, OWNER)
    key = one(conn, "SELECT key FROM create_api_key('k', scopes => ARRAY['search'])")
    conn.execute("RESET ROLE")
    for column, value in values.items():
        conn.execute(f"UPDATE api_keys SET {column} = %s WHERE name = 'k'".encode(), [value])
    return str(key)


def test_a_new_key_is_shown_once_and_stored_as_its_hash(conn: Connection) -> None:
    build(conn)

    key = make_key(conn)

    kept = conn.execute(
        "SELECT key_hash = encode(sha256(convert_to(%s, 'UTF8')), 'hex'), key_prefix, k::text"
        " FROM api_keys AS k WHERE user_id = %s AND key_prefix LIKE 'avk_%%' AND name = 'k'"
        " AND key_hash <> repeat('f', 64) ORDER BY created_at DESC LIMIT 1",
        [key, OWNER],
    ).fetchone()
    assert kept is not None
    assert (kept[0], kept[1], key in kept[2]) == (True, key[:12], False)


def test_a_valid_key_says_who_asks_and_is_counted(conn: Connection) -> None:
    build(conn)
    key = make_key(conn)

    answers = [
        conn.execute(
            "SELECT is_valid, reason, user_id, scopes FROM verify_api_key(%s, 'search')", [key]
        ).fetchone()
        for _ in range(2)
    ]

    counted = conn.execute(
        "SELECT total_requests, last_used_at IS NOT NULL FROM api_keys WHERE total_requests > 0"
    ).fetchall()
    assert (answers, counted) == ([(True, None, OWNER, ["search"])] * 2, [(2, True)])


@pytest.mark.parametrize(
    ("change", "scope", "reason"),
    [
        ({"is_active": False}, None, "inactive"),
        ({"expires_at": "2020-01-01"}, None, "expired"),
        ({}, "export", "scope"),
        ({"rate_limit_per_minute": 0}, None, "minute_limit"),
        ({"rate_limit_per_day": 0}, None, "day_limit"),
    ],
)
def test_a_refused_key_says_why_and_is_not_counted(
    conn: Connection, change: dict[str, Any], scope: str | None, reason: str
) -> None:
    build(conn)
    key = make_key(conn, **change)

    answer = conn.execute(
        "SELECT is_valid, reason, retry_after_s > 0 FROM verify_api_key(%s, %s)", [key, scope]
    ).fetchone()

    waits = True if reason.endswith("limit") else None
    counted = one(conn, "SELECT sum(total_requests) FROM api_keys")
    assert (answer, counted) == ((False, reason, waits), 0)


@pytest.mark.parametrize("key", ["", "avk_unknown", None, "ключ"])
def test_an_unknown_key_is_unknown(conn: Connection, key: str | None) -> None:
    answer = conn.execute("SELECT is_valid, reason FROM verify_api_key(%s)", [key]).fetchone()

    assert answer == (False, "unknown")


def test_a_key_cannot_be_stored_in_the_clear(conn: Connection) -> None:
    build(conn)

    with pytest.raises(psycopg.errors.CheckViolation, match="key_hash"):
        conn.execute("UPDATE api_keys SET key_hash = 'avk_0123456789'")


def test_training_use_keeps_the_mean_of_all_uses(conn: Connection) -> None:
    build(conn)
    example = row_id("training_examples")

    for succeeded in (True, True, False, True):
        conn.execute("SELECT record_training_use(%s, %s)", [example, succeeded])

    found = conn.execute(
        "SELECT times_used, success_rate::float FROM training_examples WHERE id = %s", [example]
    ).fetchone()
    assert found == (4, 0.75)


def test_an_owner_may_have_a_failed_source_read_again(conn: Connection) -> None:
    build(conn)
    source = row_id("knowledge_sources")
    conn.execute("UPDATE worker.jobs SET state = 'completed'")
    conn.execute("UPDATE knowledge_sources SET status = 'failed'")
    become(conn, OWNER)

    conn.execute("SELECT retry_knowledge_source(%s)", [source])

    conn.execute("RESET ROLE")
    states = conn.execute(
        "SELECT s.status, count(*) FROM knowledge_sources AS s JOIN worker.jobs AS j"
        " ON j.args ->> 'source_id' = s.id::text AND j.state = 'available'"
        " WHERE s.id = %s GROUP BY s.status",
        [source],
    ).fetchall()
    assert states == [("pending", 1)]


def test_a_redelivery_is_the_same_event_again(conn: Connection) -> None:
    build(conn)
    delivery = row_id("webhook_deliveries")
    conn.execute("UPDATE webhook_deliveries SET status = 'failed', error_message = 'x'")
    before = one(conn, "SELECT event_id FROM webhook_deliveries WHERE id = %s", delivery)
    become(conn, OWNER)

    conn.execute("SELECT redeliver_webhook(%s)", [delivery])

    after = conn.execute(
        "SELECT event_id, status, error_message FROM webhook_deliveries WHERE id = %s", [delivery]
    ).fetchone()
    assert after == (before, "pending", None)


def test_a_test_event_reaches_an_inactive_webhook_too(conn: Connection) -> None:
    build(conn)
    conn.execute("UPDATE webhooks SET is_active = false")
    become(conn, OWNER)

    delivery = one(conn, "SELECT send_test_webhook(%s)", row_id("webhooks"))

    kind = one(conn, "SELECT event_type FROM webhook_deliveries WHERE id = %s", delivery)
    assert kind == "webhook.test"


def test_credentials_go_where_no_web_role_reads_and_a_new_set_replaces_the_old(
    conn: Connection,
) -> None:
    build(conn)
    source = row_id("knowledge_sources")
    become(conn, OWNER)

    for token in ("old", "new"):
        conn.execute("SELECT set_source_credentials(%s, %s)", [source, Jsonb({"token": token})])

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SELECT * FROM worker.source_credentials")
    conn.execute("RESET ROLE")
    stored = conn.execute("SELECT credentials, sealed FROM worker.source_credentials").fetchall()
    trail = one(conn, "SELECT string_agg(a::text, '') FROM activity_logs AS a")
    assert (stored, '"new"' in trail) == ([({"token": "new"}, None)], False)


@pytest.mark.parametrize(
    "call",
    [
        ("retry_knowledge_source(%s)", "knowledge_sources"),
        ("set_source_credentials(%s, '{}')", "knowledge_sources"),
        ("send_test_webhook(%s)", "webhooks"),
        ("redeliver_webhook(%s)", "webhook_deliveries"),
    ],
)
def test_nobody_asks_for_another_customers_rows(conn: Connection, call: tuple[str, str]) -> None:
    build(conn)
    function, table = call

    for user in (OTHER, uuid4()):
        with (
            acting_as(conn, "authenticated", user),
            pytest.raises(psycopg.errors.NoDataFound),
        ):
            conn.execute(f"SELECT {function}".encode(), [row_id(table, OWNER)])
