"""What customers see goes by its age, and what was counted of it stays."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import daily_stats, retention
from db.fence import Fence, LeaseLost
from db.pool import Connection
from pipelines import prune
from pipelines.prune import run
from tests.housekeeping import Customer, column, customer, held, lose

KIND = "prune"


@pytest.fixture
def owner(conn: Connection) -> Customer:
    return customer(conn)


@pytest.fixture
def fence(conn: Connection, database_url: str) -> Iterator[Fence]:
    with held(conn, database_url, KIND) as held_fence:
        yield held_fence


def add(
    conn: Connection, table: str, days: float, *, at: str = "created_at", **columns: Any
) -> UUID:
    """A row so many days old; its id."""
    values = {"id": uuid4(), **columns}
    conn.execute(
        f"INSERT INTO {table} ({', '.join(values)}, {at})"
        f" VALUES ({', '.join(['%s'] * len(values))}, now() - make_interval(secs => %s))".encode(),
        (*values.values(), days * 86400),
    )
    found = values["id"]
    assert isinstance(found, UUID)
    return found


def ids(conn: Connection, table: str) -> set[UUID]:
    return set(column(conn, f"SELECT id FROM {table}"))


def figures(conn: Connection, owner: Customer) -> list[Any]:
    return column(conn, "SELECT to_jsonb(s) - '{id,created_at,updated_at}'::text[] FROM daily_stats"
                        " AS s WHERE agent_id = %s ORDER BY date", owner.agent_id)  # fmt: skip


def recount(conn: Connection, owner: Customer) -> None:
    """Every day that there is a figure or an event of."""
    days = column(
        conn,
        "SELECT (created_at AT TIME ZONE 'Asia/Kathmandu')::date FROM analytics_events"
        " UNION SELECT date FROM daily_stats",
    )
    daily_stats.recompute_days(conn, [owner.agent_id] * len(days), days)


def test_old_events_go_and_their_days_keep_their_figures(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    owner.live_in("Asia/Kathmandu")
    names = ("widget_opened", "widget_open", "widget.opened", "message_sent")
    for hours in range(0, 72, 5):
        for name in names:
            add(conn, "analytics_events", 401 + hours / 24, agent_id=owner.agent_id,
                event_type=name)  # fmt: skip
    kept = add(conn, "analytics_events", 399, agent_id=owner.agent_id, event_type="widget_opened")
    recount(conn, owner)
    before = figures(conn, owner)
    conn.execute("DELETE FROM worker.stats_marks")

    result = run(fence)

    marks = column(conn, "SELECT count(*) FROM worker.stats_marks")
    recount(conn, owner)
    assert (result["deleted"]["analytics_events"], ids(conn, "analytics_events")) == (60, {kept})
    assert marks == [0]
    assert figures(conn, owner) == before
    assert sum(row["widget_opens"] for row in before) == 46


def test_opens_of_a_quarter_that_was_pruned_before_are_added(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    """A late row of an old day, written after that day was pruned."""
    add(conn, "analytics_events", 500, agent_id=owner.agent_id, event_type="widget_open")
    run(fence)
    conn.execute(
        "INSERT INTO analytics_events (agent_id, event_type, created_at)"
        " SELECT agent_id, 'widget_opened', at FROM worker.kept_opens"
    )

    run(fence)

    assert column(conn, "SELECT opens FROM worker.kept_opens") == [2]


def test_other_deletions_of_events_mark_their_days(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    add(conn, "analytics_events", 500, agent_id=owner.agent_id, event_type="widget_open")
    late = add(conn, "analytics_events", 1, agent_id=owner.agent_id, event_type="widget_open")
    run(fence)
    conn.execute("DELETE FROM worker.stats_marks")

    conn.execute("DELETE FROM analytics_events WHERE id = %s", (late,))

    assert column(conn, "SELECT count(*) FROM worker.stats_marks") == [1]


def test_killed_midway_no_open_is_lost_or_counted_twice(
    conn: Connection, database_url: str, owner: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH_ROWS", 4)
    conn.execute(
        "INSERT INTO analytics_events (agent_id, event_type, created_at)"
        " SELECT %s, 'widget_opened', now() - interval '500 days' + n * interval '1 min'"
        " FROM generate_series(1, 10) AS n",
        (owner.agent_id,),
    )
    with held(conn, database_url, KIND) as first:
        prune.delete_batch(first, retention.delete_analytics, None, 4)
        lose(conn, first)
        with pytest.raises(LeaseLost):
            run(first)

    with held(conn, database_url, KIND) as second:
        result = run(second)

    assert result["deleted"]["analytics_events"] == 6
    assert column(conn, "SELECT sum(opens)::int FROM worker.kept_opens") == [10]


def test_logs_notifications_and_mails_go_by_their_age(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    for table in ("activity_logs", "notifications", "email_logs"):
        conn.execute(f"DELETE FROM {table}".encode())
    note: dict[str, Any] = {"user_id": owner.id, "type": "new_lead", "title": "t", "message": "m"}
    mail: dict[str, Any] = {"user_id": owner.id, "to_email": "a@x.example", "email_type": "welcome"}
    add(conn, "activity_logs", 731, user_id=owner.id, action="created")
    add(conn, "notifications", 401, **note)
    add(conn, "notifications", 91, at="read_at", is_read=True, **note)
    gone = add(conn, "email_logs", 401, status="failed", **mail)
    conn.execute("INSERT INTO worker.email_sendings (email_id) VALUES (%s)", (gone,))
    kept = {
        "activity_logs": {add(conn, "activity_logs", 729, user_id=owner.id, action="created")},
        "notifications": {
            add(conn, "notifications", 399, **note),
            add(conn, "notifications", 89, at="read_at", is_read=True, **note),
        },
        "email_logs": {
            add(conn, "email_logs", 399, status="sent", **mail),
            add(conn, "email_logs", 500, status="queued", **mail),
            add(conn, "email_logs", 500, status="uncertain", **mail),
        },
    }

    deleted = run(fence)["deleted"]

    assert {table: ids(conn, table) for table in kept} == kept
    assert column(conn, "SELECT count(*) FROM worker.email_sendings") == [0]
    names = ("activity_logs", "notifications", "read_notifications", "email_logs")
    assert {deleted[name] for name in names} == {1}
    assert set(run(fence)["deleted"].values()) == {0}


def test_ended_deliveries_go_and_their_webhook_goes_on_counting(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    webhook_id = uuid4()
    conn.execute(
        "INSERT INTO webhooks (id, user_id, name, url) VALUES (%s, %s, 'w', 'https://a.example')",
        (webhook_id, owner.id),
    )
    delivery: dict[str, Any] = {"webhook_id": webhook_id, "event_type": "lead.captured"}
    for status in ("delivered", "failed", "blocked", "cancelled"):
        add(conn, "webhook_deliveries", 91, status=status, **delivery)
    sent_again = add(conn, "webhook_deliveries", 91, status="failed", **delivery)
    conn.execute(
        "INSERT INTO worker.delivery_attempts (delivery_id, attempt) VALUES (%s, 1)", (sent_again,)
    )
    kept = {
        sent_again,
        add(conn, "webhook_deliveries", 89, status="delivered", **delivery),
        add(conn, "webhook_deliveries", 91, status="retrying", **delivery),
    }
    counters = "SELECT to_jsonb(w) FROM webhooks AS w"
    before = column(conn, counters)

    result = run(fence)

    assert result["deleted"]["webhook_deliveries"] == 4
    assert (ids(conn, "webhook_deliveries"), column(conn, counters)) == (kept, before)


def test_old_reopenings_go(conn: Connection, owner: Customer, fence: Fence) -> None:
    for days in (8, 6):
        conn.execute(
            "INSERT INTO worker.reopened_conversations (conversation_id, reopened_at)"
            " VALUES (%s, now() - make_interval(days => %s))",
            (owner.converse(1), days),
        )

    assert run(fence)["deleted"]["reopened_conversations"] == 1


def test_holds_that_are_over_and_old_reminders_go(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    lead_id = owner.capture(None, name="Ann")
    conn.execute(
        "INSERT INTO worker.lane_holds (lane, until_at, then_cap) VALUES"
        " ('over', now() - interval '2 days', NULL), ('few', now() - interval '2 days', 1),"
        " ('forgotten', now() - interval '91 days', 1), ('for good', NULL, NULL),"
        " ('held', now() + interval '1 day', NULL)"
    )
    conn.execute(
        "INSERT INTO worker.lead_reminders (lead_id, follow_up_at, user_id)"
        " VALUES (%(lead)s, now() - interval '61 days', %(user)s),"
        " (%(lead)s, now() - interval '59 days', %(user)s)",
        {"lead": lead_id, "user": owner.id},
    )
    for days in (61, 59):
        add(conn, "worker.reminders", days, at="reminded_at")

    deleted = run(fence)["deleted"]

    assert column(conn, "SELECT lane FROM worker.lane_holds ORDER BY lane") == [
        "few", "for good", "held",
    ]  # fmt: skip
    assert (deleted["lane_holds"], deleted["lead_reminders"], deleted["reminders"]) == (2, 1, 1)


def test_what_lies_before_all_calendars_stops_nothing(
    conn: Connection, owner: Customer, fence: Fence
) -> None:
    event: dict[str, Any] = {"agent_id": owner.agent_id, "event_type": "widget_opened"}
    add(conn, "analytics_events", 500, **event)
    conn.execute(
        "INSERT INTO analytics_events (agent_id, event_type, created_at)"
        " VALUES (%s, 'widget_opened', '-infinity')",
        (owner.agent_id,),
    )

    assert run(fence)["deleted"]["analytics_events"] == 1


def test_it_finds_its_rows_by_an_index(conn: Connection) -> None:
    wanted = {
        "delete_analytics": "analytics_events_created_at_idx",
        "delete_activity": "activity_logs_created_at_idx",
        "delete_read_notifications": "notifications_read_at_idx",
        "delete_notifications": "notifications_created_at_idx",
        "delete_emails": "email_logs_created_at_status_idx",
        "delete_deliveries": "webhook_deliveries_ended_idx",
        "delete_lead_reminders": "lead_reminders_follow_up_idx",
        "delete_reminders": "reminders_reminded_idx",
        "delete_holds": "lane_holds_until_idx",
        "delete_reopenings": "reopened_conversations_reopened_idx",
    }

    plans = {name: explain(conn, name) for name in wanted}

    assert [name for name, index in wanted.items() if index not in plans[name]] == []
    assert [name for name, plan in plans.items() if "Seq Scan" in plan] == []


def explain(conn: Connection, name: str) -> str:
    statement = getattr(retention.SQL, name)
    values = {"since": None, "rows_max": 1000, "days": 90}
    if b"ramp_days" in statement:
        values["ramp_days"] = 90
    with conn.transaction():
        conn.execute(retention.SQL.plan_by_index)
        plan = conn.execute(b"EXPLAIN " + statement, values).fetchall()
    return "\n".join(line for (line,) in plan)
