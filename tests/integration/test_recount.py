"""The naive recount itself, against figures that were counted by hand."""

from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from db.pool import Connection
from tests.integration.people import sign_up
from tests.recount import DAY_COLUMNS, recount_counters, recount_days, recount_months, usage_of


def agent_in(conn: Connection, zone: str) -> tuple[UUID, UUID]:
    """(owner, agent)"""
    owner, agent = sign_up(conn, zone.replace("/", ".")), uuid4()
    conn.execute("UPDATE public.user_profiles SET time_zone = %s WHERE id = %s", (zone, owner))
    conn.execute(
        "INSERT INTO public.agents (id, user_id, name) VALUES (%s, %s, 'Agent')", (agent, owner)
    )
    return owner, agent


def visit(conn: Connection, agent: UUID, at: str, visitor: str, **values: Any) -> UUID:
    row = conn.execute(
        "INSERT INTO public.conversations"
        " (agent_id, visitor_id, created_at, status, sentiment_label, duration_seconds)"
        " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
        (
            agent,
            visitor,
            at,
            values.get("status", "resolved"),
            values.get("label"),
            values.get("seconds", 0),
        ),
    ).fetchone()
    assert row is not None
    return UUID(str(row[0]))


def say(conn: Connection, conversation: UUID, at: str, role: str, *, tokens: int = 0) -> None:
    conn.execute(
        "INSERT INTO public.messages"
        " (conversation_id, role, content, created_at, tokens_used, response_time_ms)"
        " VALUES (%s, %s, 'text', %s, %s, %s)",
        (conversation, role, at, tokens, tokens or None),
    )


def test_a_full_day_in_kathmandu_is_counted_as_by_hand(conn: Connection) -> None:
    owner, agent = agent_in(conn, "Asia/Kathmandu")
    # The 10th begins there at 18:15 UTC on the 9th.
    visit(conn, agent, "2024-03-09 18:14:59.999999+00", "v1")
    first = visit(conn, agent, "2024-03-09 18:15+00", "v1", label="negative", seconds=20)
    visit(conn, agent, "2024-03-10 18:14+00", "v2", status="active", label="neutral", seconds=1)
    visit(conn, agent, "2024-03-10 03:00+00", "v2", seconds=1)
    say(conn, first, "2024-03-09 18:15:10+00", "user")
    say(conn, first, "2024-03-09 18:15:11+00", "assistant", tokens=100)
    say(conn, first, "2024-03-09 18:15:20+00", "system", tokens=201)
    conn.execute(
        "INSERT INTO public.leads (agent_id, created_at) VALUES (%(agent)s, '2024-03-10 12:00+00')",
        {"agent": agent},
    )
    conn.execute(
        "INSERT INTO public.analytics_events (agent_id, event_type, created_at) VALUES"
        " (%(agent)s, 'widget_opened', '2024-03-10 12:00+00'),"
        " (%(agent)s, 'widget.opened', '2024-03-10 12:00+00'),"
        " (%(agent)s, 'widget_closed', '2024-03-12 12:00+00')",
        {"agent": agent},
    )
    conn.execute(
        "INSERT INTO worker.kept_opens (agent_id, at, opens) VALUES (%s, '2024-03-10 00:00+00', 5)",
        (agent,),
    )
    conn.execute(
        "INSERT INTO public.usage_logs"
        " (user_id, agent_id, usage_type, total_tokens, total_cost, created_at) VALUES"
        " (%(owner)s, %(agent)s, 'message', 301, 0.0000000001, '2024-03-10 12:00+00'),"
        " (%(owner)s, %(agent)s, 'embedding', 7, 1, '2024-03-10 12:00+00')",
        {"owner": owner, "agent": agent},
    )

    counted = recount_days(conn)

    assert sorted(day for _, day in counted) == [date(2024, 3, 9), date(2024, 3, 10)]
    figures = counted[agent, date(2024, 3, 10)]
    assert figures == dict(
        zip(
            DAY_COLUMNS,
            (
                3, 1, Decimal("7.333"), 3, 1, 1, Decimal("150.500"), 1, Decimal("0.333333"),
                0, 1, 1, 7, 2, 1, 308, Decimal("1.0000000001"),
            ),
            strict=True,
        )
    )  # fmt: skip
    assert {value for value in counted[agent, date(2024, 3, 9)].values() if value} == {1}


def test_a_day_of_23_hours_ends_an_hour_earlier(conn: Connection) -> None:
    _, agent = agent_in(conn, "America/New_York")
    visit(conn, agent, "2024-03-10 05:00+00", "v1")
    visit(conn, agent, "2024-03-11 03:59+00", "v2")
    visit(conn, agent, "2024-03-11 04:00+00", "v3")

    counted = recount_days(conn)

    assert {day: counted[agent, day]["unique_visitors"] for _, day in counted} == {
        date(2024, 3, 10): 2,
        date(2024, 3, 11): 1,
    }


def test_months_and_counters_are_counted_as_by_hand(conn: Connection) -> None:
    owner, agent = agent_in(conn, "Asia/Kathmandu")
    talk = visit(conn, agent, "2024-03-09 18:00+00", "v1")
    say(conn, talk, "2024-03-09 18:00+00", "user")
    say(conn, talk, "2024-03-09 18:01+00", "assistant", tokens=10)
    conn.execute(
        "INSERT INTO public.usage_logs (user_id, usage_type, total_tokens, total_cost, created_at)"
        " VALUES (%(owner)s, 'message', 10, 0.5, '2024-03-31 23:59:59+00'),"
        " (%(owner)s, 'conversation', 0, 0, '2024-03-01 00:00+00'),"
        " (%(owner)s, 'export', 0, 0.25, '2024-04-01 00:00+00')",
        {"owner": owner},
    )

    months, counters = recount_months(conn), recount_counters(conn)

    assert [tuple(months[key].values())[:5] for key in sorted(months)] == [
        (1, 1, 10, 1, Decimal("0.5")),
        (0, 0, 0, 0, Decimal("0.25")),
    ]
    assert usage_of([("message", 0, Decimal(0))] * 3, 1, 2) == {
        **months[owner, 2024, 4],
        "total_messages": 3,
        "total_ai_cost": 0,
        "total_agents": 1,
        "message_limit": 2,
        "messages_remaining": 0,
        "overage_messages": 1,
    }
    assert counters == {agent: (1, 2, 0), talk: (2,)}
