"""What owners ask of their webhooks, and what their edits mean for what is on its way."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

import db
from db import webhooks
from db.embedded import Services
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.integration.schema_world import OTHER, OWNER, acting_as, build, insert, row_id

WEBHOOK = row_id("webhooks")
LANE = f"deliver_webhook:{WEBHOOK}"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
CANCELLED = "cancelled: the webhook was deactivated before this was delivered"


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        build(connection)
        connection.execute("DELETE FROM webhook_deliveries")
        connection.execute("DELETE FROM worker.jobs")
        yield connection


@pytest.fixture
def conn(shared: Connection) -> Iterator[Connection]:
    """One database for the module; each test's writes are undone."""
    with shared.transaction(force_rollback=True):
        yield shared


def add(conn: Connection, status: str = "pending", **values: Any) -> UUID:
    key = uuid4()
    row = {"webhook_id": WEBHOOK, "event_type": "lead.captured", "status": status, **values}
    insert(conn, "webhook_deliveries", {"id": key, **row})
    return key


def rows(conn: Connection, query: str, *values: Any) -> list[Any]:
    return conn.execute(query.encode(), values).fetchall()


def statuses(conn: Connection) -> list[Any]:
    return rows(
        conn, "SELECT status, error_message FROM webhook_deliveries ORDER BY created_at, id"
    )


def waiting_jobs(conn: Connection) -> int:
    found = rows(conn, "SELECT count(*) FROM worker.jobs WHERE state IN ('available', 'scheduled')")
    return int(found[0][0])


def set_webhook(conn: Connection, **values: Any) -> None:
    with db.acting_as(conn, OWNER):
        webhooks.update(conn, WEBHOOK, **values)


def trouble(conn: Connection, **values: Any) -> None:
    """An endpoint whose circuit is open."""
    row = {"consecutive_failures": 100, "failing_since": "2026-01-01", "ramp": 1} | values
    names = ", ".join(row)
    slots = ", ".join(["%s"] * len(row))
    conn.execute(
        f"INSERT INTO worker.endpoints (webhook_id, {names}) VALUES (%s, {slots})".encode(),
        [WEBHOOK, *row.values()],
    )
    conn.execute(
        "INSERT INTO worker.lane_holds (lane, cap, until_at, then_cap, reason)"
        " VALUES (%s, 0, now() + interval '1 hour', 1, '100 failures in a row')",
        [LANE],
    )


def is_clean(conn: Connection) -> bool:
    """Nothing is known of any endpoint, and nothing held back."""
    return rows(
        conn,
        "SELECT (SELECT count(*) FROM worker.endpoints), (SELECT count(*) FROM worker.lane_holds)",
    ) == [(0, 0)]


def test_many_are_sent_again_and_only_ones_own_are_counted(conn: Connection) -> None:
    mine = [add(conn, "failed", attempt_count=3), add(conn, "delivered"), add(conn, "blocked")]
    theirs = add(conn, "failed", webhook_id=row_id("webhooks", OTHER))
    events = rows(conn, "SELECT id, event_id FROM webhook_deliveries ORDER BY id")

    with db.acting_as(conn, OWNER):
        sent = webhooks.redeliver_many(conn, [*mine, theirs, uuid4()])

    pending = rows(conn, "SELECT id FROM webhook_deliveries WHERE status = 'pending'")
    assert (sent, {id for (id,) in pending}) == (3, set(mine))
    assert waiting_jobs(conn) == 3
    assert rows(conn, "SELECT id, event_id FROM webhook_deliveries ORDER BY id") == events


def test_too_many_at_a_time_are_refused_with_the_limit(conn: Connection) -> None:
    with (
        pytest.raises(psycopg.errors.InvalidParameterValue, match=r"1001 .* limit 1000"),
        db.acting_as(conn, OWNER),
    ):
        webhooks.redeliver_many(conn, [uuid4()] * 1001)


def test_nothing_is_sent_again_to_an_inactive_webhook_but_a_test(conn: Connection) -> None:
    set_webhook(conn, is_active=False)
    delivery, test = add(conn, "failed"), add(conn, "failed", event_type="webhook.test")

    with db.acting_as(conn, OWNER):
        webhooks.redeliver(conn, test)

    refused = pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="not active")
    with refused, db.acting_as(conn, OWNER):
        webhooks.redeliver(conn, delivery)
    with refused, db.acting_as(conn, OWNER):
        webhooks.recover(conn, WEBHOOK, LONG_AGO)


def test_recovering_takes_what_was_lost_since_then_oldest_first_and_spread(
    conn: Connection,
) -> None:
    lost = [
        add(conn, status, created_at=f"2026-03-0{day} 12:00+00")
        for day, status in ((3, "cancelled"), (2, "failed"), (4, "blocked"))
    ]
    add(conn, "failed", created_at="2026-03-01 11:59+00")
    add(conn, "delivered", created_at="2026-03-03 12:00+00")
    add(conn, "retrying", created_at="2026-03-03 12:00+00")
    conn.execute("DELETE FROM worker.jobs")

    with db.acting_as(conn, OWNER):
        since = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
        counted = [webhooks.recover(conn, WEBHOOK, since) for _ in range(2)]

    order = rows(
        conn,
        "SELECT (args ->> 'delivery_id')::uuid, extract(epoch FROM run_at - now())::float"
        " FROM worker.jobs ORDER BY run_at",
    )
    assert counted == [3, 0]
    assert order == [(lost[1], 0.0), (lost[0], 0.05), (lost[2], 0.1)]


def test_test_events_have_a_limit_and_the_error_names_it(conn: Connection) -> None:
    with db.acting_as(conn, OWNER):
        for _ in range(20):
            webhooks.send_test(conn, WEBHOOK)
    with (
        pytest.raises(psycopg.Error, match="20 test events within a minute") as caught,
        db.acting_as(conn, OWNER),
    ):
        webhooks.send_test(conn, WEBHOOK)
    conn.execute("UPDATE webhook_deliveries SET created_at = now() - interval '61 s'")

    with db.acting_as(conn, OWNER):
        webhooks.send_test(conn, WEBHOOK)

    assert caught.value.sqlstate == "PT429"


def note_failure(conn: Connection, delivery: UUID, attempt: int) -> None:
    conn.execute(
        "INSERT INTO worker.delivery_attempts (delivery_id, attempt, http_status, error_message)"
        " VALUES (%s, %s, 500, 'status: 500')",
        [delivery, attempt],
    )


def test_attempts_are_listed_in_order_through_a_redelivery(conn: Connection) -> None:
    delivery = add(
        conn, "delivered", attempt_count=2, http_status=200, duration_ms=12, response_body="ok",
        delivered_at="2026-03-01 12:01+00",
    )  # fmt: skip
    note_failure(conn, delivery, 1)
    conn.execute("UPDATE webhook_deliveries SET status = 'pending'")
    note_failure(conn, delivery, 1)

    with db.acting_as(conn, OWNER):
        first_plan = webhooks.get_attempts(conn, delivery)
    conn.execute(
        "UPDATE webhook_deliveries SET status = 'delivered', attempt_count = 2, http_status = 204,"
        " delivered_at = now()"
    )
    with db.acting_as(conn, OWNER):
        whole = webhooks.get_attempts(conn, delivery)

    assert [(a.attempt, a.http_status) for a in first_plan] == [(1, 500), (2, 200), (1, 500)]
    assert [(a.attempt, a.http_status) for a in whole] == [(1, 500), (2, 200), (1, 500), (2, 204)]
    assert (whole[1].response_excerpt, whole[1].duration_ms) == ("ok", 12)
    assert [a.error_message is None for a in whole] == [False, True, False, True]


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (None, "closed"),
        ({"open_until": "2100-01-01"}, "open"),
        ({"open_until": "2020-01-01", "ramp": 2}, "half_open"),
        ({"quick_needed": 4}, "slow"),
    ],
)
def test_health_says_how_the_receiver_is_doing(
    conn: Connection, values: dict[str, Any] | None, state: str
) -> None:
    if values is not None:
        trouble(conn, **values)

    with db.acting_as(conn, OWNER):
        health = webhooks.get_health(conn, WEBHOOK)

    assert (health.state, health.consecutive_failures) == (state, 0 if values is None else 100)
    assert health.reason == (None if values is None else "100 failures in a row")


def test_the_next_attempt_is_not_before_the_circuit_allows_it(conn: Connection) -> None:
    add(conn, next_retry_at="2100-01-01")
    trouble(conn, open_until="2101-01-01")

    with db.acting_as(conn, OWNER):
        health = webhooks.get_health(conn, WEBHOOK)

    assert health.next_attempt_at is not None
    assert health.next_attempt_at.year >= 2100
    assert f"{health.next_attempt_at:%Y-%m-%d}" in ("2101-01-01", "2100-12-31")


CALLS = {
    "redeliver_webhook": "webhook_deliveries",
    "get_delivery_attempts": "webhook_deliveries",
    "send_test_webhook": "webhooks",
    "get_webhook_health": "webhooks",
}


@pytest.mark.parametrize("function", CALLS)
def test_nobody_asks_for_another_owners_rows(conn: Connection, function: str) -> None:
    delivery = add(conn)
    key = delivery if CALLS[function] == "webhook_deliveries" else WEBHOOK

    for user in (OTHER, uuid4()):
        with acting_as(conn, "authenticated", user), pytest.raises(psycopg.errors.NoDataFound):
            conn.execute(f"SELECT * FROM {function}(%s)".encode(), [key])


def test_another_owner_recovers_and_redelivers_nothing(conn: Connection) -> None:
    delivery = add(conn, "failed")

    for user in (OTHER, uuid4()):
        with acting_as(conn, "authenticated", user):
            sent = rows(conn, "SELECT redeliver_webhooks(%s)", [delivery])
            with pytest.raises(psycopg.errors.NoDataFound):
                conn.execute("SELECT recover_webhook(%s, '-infinity')", [WEBHOOK])

        assert sent == [(0,)]


@pytest.mark.parametrize(
    "call",
    [
        "redeliver_webhook(gen_random_uuid())",
        "redeliver_webhooks('{}')",
        "recover_webhook(gen_random_uuid(), now())",
        "send_test_webhook(gen_random_uuid())",
        "get_delivery_attempts(gen_random_uuid())",
        "get_webhook_health(gen_random_uuid())",
    ],
)
def test_a_visitor_may_call_none_of_them(conn: Connection, call: str) -> None:
    with acting_as(conn, "anon"), pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(f"SELECT {call}".encode())


def test_the_web_tiers_own_role_may_ask_for_anybody(conn: Connection) -> None:
    delivery = add(conn, "failed")

    with acting_as(conn, "service_role"):
        sent = rows(conn, "SELECT recover_webhook(%s, '-infinity')", WEBHOOK)
        attempts = rows(conn, "SELECT * FROM get_delivery_attempts(%s)", delivery)

    assert (sent, attempts) == ([(1,)], [])


def test_a_replaced_secret_signs_for_another_day_and_the_oldest_are_dropped(
    conn: Connection,
) -> None:
    for secret in ("s1", "s2", "s3", "s4", "s5"):
        set_webhook(conn, secret=secret)

    kept = rows(
        conn,
        "SELECT secret, until_at = now() + interval '1 day' FROM worker.retired_secrets"
        " ORDER BY id",
    )
    assert kept == [("s2", True), ("s3", True), ("s4", True)]


def test_going_back_to_an_old_secret_retires_only_the_other(conn: Connection) -> None:
    for secret in ("s1", "s2", "s1"):
        set_webhook(conn, secret=secret)

    kept = [secret for (secret,) in rows(conn, "SELECT secret FROM worker.retired_secrets")]
    assert ("s1" in kept, kept[-1]) == (False, "s2")


@pytest.mark.parametrize("change", [{"url": "https://new.example"}, {"secret": "other"}])
def test_a_new_address_or_secret_begins_with_a_clean_record_and_keeps_what_waits(
    conn: Connection, change: dict[str, str]
) -> None:
    trouble(conn, open_until="2100-01-01")
    add(conn)
    add(conn, next_retry_at="2100-01-01")
    before = rows(conn, "SELECT id, state, run_at FROM worker.jobs ORDER BY id")

    set_webhook(conn, **change)

    assert is_clean(conn)
    assert rows(conn, "SELECT id, state, run_at FROM worker.jobs ORDER BY id") == before


def test_other_edits_leave_the_record_alone(conn: Connection) -> None:
    trouble(conn, open_until="2100-01-01")
    add(conn)

    set_webhook(conn, name="New", events=["message.created"], max_retries=1, is_active=True)

    assert (is_clean(conn), waiting_jobs(conn)) == (False, 1)


def test_deactivating_cancels_what_waits_and_says_so(conn: Connection) -> None:
    add(conn)
    add(conn, next_retry_at="2100-01-01")
    conn.execute("UPDATE webhook_deliveries SET status = 'retrying' WHERE next_retry_at > now()")
    ended = add(conn, "failed", error_message="dns: x")

    set_webhook(conn, is_active=False)

    assert statuses(conn).count(("cancelled", CANCELLED)) == 2
    assert rows(conn, "SELECT status FROM webhook_deliveries WHERE id = %s", ended) == [("failed",)]
    assert rows(conn, "SELECT DISTINCT state FROM worker.jobs") == [("cancelled",)]


def test_deactivating_leaves_an_attempt_in_flight_to_its_end(conn: Connection) -> None:
    add(conn)
    conn.execute("UPDATE worker.jobs SET state = 'running', attempt = 1")

    set_webhook(conn, is_active=False)

    assert statuses(conn) == [("pending", None)]


def test_a_test_of_an_inactive_webhook_is_not_cancelled(conn: Connection) -> None:
    with db.acting_as(conn, OWNER):
        webhooks.send_test(conn, WEBHOOK)

    set_webhook(conn, is_active=False)

    assert (statuses(conn), waiting_jobs(conn)) == ([("pending", None)], 1)


def test_activating_again_resets_the_record_and_sends_nothing_by_itself(conn: Connection) -> None:
    add(conn)
    trouble(conn, disabled_reason="it was away", open_until="2100-01-01")
    set_webhook(conn, is_active=False)

    set_webhook(conn, is_active=True)

    assert is_clean(conn)
    assert ([status for status, _ in statuses(conn)], waiting_jobs(conn)) == (["cancelled"], 0)


def test_a_disabled_webhook_is_told_of_once(conn: Connection) -> None:
    add(conn)
    call = "SELECT worker.disable_webhook(%s, 'it answered 410 Gone', '2026-03-01 12:00+00')"

    done = [rows(conn, call, WEBHOOK)[0][0] for _ in range(2)]
    conn.execute("UPDATE webhooks SET is_active = true WHERE id = %s", [WEBHOOK])
    rows(conn, call, WEBHOOK)

    told = rows(
        conn,
        "SELECT type, title, user_id, message LIKE '%%it answered 410 Gone%%' FROM notifications"
        " WHERE type = 'webhook_disabled'",
    )
    mails = rows(
        conn,
        "SELECT user_id, template_data ->> 'webhook_name', template_data ->> 'url',"
        " template_data ->> 'reason', template_data ->> 'failing_since',"
        " template_data ->> 'webhook_id' FROM email_logs WHERE email_type = 'webhook_disabled'",
    )
    assert done == [True, False]
    assert told == [("webhook_disabled", "Webhook disabled", OWNER, True)]
    assert len(mails) == 1
    assert mails[0][:4] == (OWNER, "w", "https://example.com/hook", "it answered 410 Gone")
    assert (mails[0][4].startswith("2026-03-01T"), mails[0][5]) == (True, str(WEBHOOK))
    assert statuses(conn)[0][1].endswith("because it answered 410 Gone")


@pytest.mark.parametrize(
    "events", [[], ["*"], ["lead.*"], ["lead.captured", "my_app.thing.done"], ["webhook.test"]]
)
def test_events_that_can_match_are_accepted(conn: Connection, events: list[str]) -> None:
    set_webhook(conn, events=events)

    assert rows(conn, "SELECT events FROM webhooks WHERE id = %s", WEBHOOK) == [(events,)]


@pytest.mark.parametrize(
    "entry", ["", "lead", "lead.", "lead.**", "*.captured", "lead.*.x", "Lead.Captured", "a b.c",
              "lead.captured\n", "lead.captured,lead.updated", None]
)  # fmt: skip
def test_events_that_could_never_match_are_refused(conn: Connection, entry: str | None) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="webhooks_events_check"):
        conn.execute("UPDATE webhooks SET events = %s", [["lead.captured", entry]])
