"""Figures counted naively, row by row, from the raw tables: what the stored ones must equal.

Nothing here is shared with the product but the names of columns: plain SELECTs, time zones by
zoneinfo, sums by Decimal.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from db.pool import Connection

# Enough for any sum of the tables' numerics: nothing is rounded on the way.
EXACT = Context(prec=80, rounding=ROUND_HALF_UP)
OPENS = ("widget_opened", "widget_open", "widget.opened")
# Their tokens are the messages' own, which are counted there.
COUNTED_ELSEWHERE = ("message", "conversation")
LABELS = ("positive", "neutral", "negative")

K = TypeVar("K")
V = TypeVar("V")
DayKey = tuple[UUID, date]
MonthKey = tuple[UUID, int, int]
Figures = dict[str, Any]

DAY_COLUMNS = (
    "total_conversations", "active_conversations", "avg_conversation_duration", "total_messages",
    "user_messages", "assistant_messages", "avg_response_time_ms", "total_leads",
    "conversion_rate", "positive_sentiment_count", "neutral_sentiment_count",
    "negative_sentiment_count", "widget_opens", "unique_visitors", "returning_visitors",
    "total_tokens_used", "total_ai_cost",
)  # fmt: skip
MONTH_COLUMNS = (
    "total_messages", "total_conversations", "total_tokens", "total_ai_requests",
    "total_ai_cost", "total_agents", "message_limit", "messages_remaining", "overage_messages",
)  # fmt: skip


@dataclass
class Day:
    """The raw rows of one agent's day."""

    conversations: list[Any] = field(default_factory=list)
    returning: set[str] = field(default_factory=set)
    messages: list[Any] = field(default_factory=list)
    leads: int = 0
    opens: int = 0
    usage: list[Any] = field(default_factory=list)


def recount_days(conn: Connection) -> dict[DayKey, Figures]:
    """What daily_stats must hold, by agent and day."""
    zones = read_zones(conn)
    days: defaultdict[DayKey, Day] = defaultdict(Day)
    gather_conversations(conn, zones, days)
    for agent, at, *row in conn.execute(
        "SELECT c.agent_id, m.created_at, m.role, m.tokens_used, m.response_time_ms"
        " FROM public.messages AS m JOIN public.conversations AS c ON c.id = m.conversation_id"
    ):
        days[agent, day_of(at, zones[agent])].messages.append(row)
    for agent, at in conn.execute("SELECT agent_id, created_at FROM public.leads"):
        days[agent, day_of(at, zones[agent])].leads += 1
    for agent, at in conn.execute(
        "SELECT agent_id, created_at FROM public.analytics_events WHERE event_type = ANY(%s)",
        [list(OPENS)],
    ):
        days[agent, day_of(at, zones[agent])].opens += 1
    for agent, at, opens in conn.execute("SELECT agent_id, at, opens FROM worker.kept_opens"):
        if agent in zones:
            days[agent, day_of(at, zones[agent])].opens += opens
    for agent, at, *row in conn.execute(
        "SELECT agent_id, created_at, usage_type, total_tokens, total_cost"
        " FROM public.usage_logs WHERE agent_id IS NOT NULL"
    ):
        days[agent, day_of(at, zones[agent])].usage.append(row)
    return {key: figures_of(day) for key, day in days.items()}


def read_zones(conn: Connection) -> dict[UUID, ZoneInfo]:
    """Of each agent, the zone of its owner."""
    return {
        agent: ZoneInfo(zone)
        for agent, zone in conn.execute(
            "SELECT a.id, p.time_zone FROM public.agents AS a"
            " JOIN public.user_profiles AS p ON p.id = a.user_id"
        )
    }


def day_of(at: datetime, zone: ZoneInfo) -> date:
    return at.astimezone(zone).date()


def gather_conversations(
    conn: Connection, zones: dict[UUID, ZoneInfo], days: defaultdict[DayKey, Day]
) -> None:
    visits: defaultdict[tuple[UUID, str], set[date]] = defaultdict(set)
    for agent, at, visitor, *row in conn.execute(
        "SELECT agent_id, created_at, visitor_id, status, duration_seconds, sentiment_label"
        " FROM public.conversations"
    ):
        day = day_of(at, zones[agent])
        days[agent, day].conversations.append((visitor, *row))
        visits[agent, visitor].add(day)
    for (agent, visitor), visited in visits.items():
        for day in visited - {min(visited)}:
            days[agent, day].returning.add(visitor)


def figures_of(day: Day) -> Figures:
    """The columns of daily_stats from a day's rows."""
    held, said = day.conversations, day.messages
    labels = [label for _, _, _, label in held]
    return {
        "total_conversations": len(held),
        "active_conversations": sum(status == "active" for _, status, _, _ in held),
        "avg_conversation_duration": average(seconds for _, _, seconds, _ in held),
        "total_messages": len(said),
        "user_messages": sum(role == "user" for role, _, _ in said),
        "assistant_messages": sum(role == "assistant" for role, _, _ in said),
        "avg_response_time_ms": average(ms for _, _, ms in said if ms is not None),
        "total_leads": day.leads,
        "conversion_rate": ratio(day.leads, len(held), digits=6),
        **{f"{label}_sentiment_count": labels.count(label) for label in LABELS},
        "widget_opens": day.opens,
        "unique_visitors": len({visitor for visitor, *_ in held}),
        "returning_visitors": len(day.returning),
        "total_tokens_used": sum(tokens for _, tokens, _ in said)
        + sum(tokens for kind, tokens, _ in day.usage if kind not in COUNTED_ELSEWHERE),
        "total_ai_cost": total(cost for _, _, cost in day.usage),
    }


def average(values: Iterable[int]) -> Decimal | None:
    known = list(values)
    return ratio(sum(known), len(known), digits=3)


def ratio(part: int, whole: int, *, digits: int) -> Decimal | None:
    """Rounded half away from zero; None of nothing."""
    if not whole:
        return None
    exact = EXACT.divide(Decimal(part), Decimal(whole))
    return EXACT.quantize(exact, Decimal(1).scaleb(-digits))


def total(values: Iterable[Decimal]) -> Decimal:
    summed = Decimal(0)
    for value in values:
        summed = EXACT.add(summed, value)
    return summed


def stored_days(conn: Connection) -> dict[DayKey, Figures]:
    """What daily_stats holds."""
    return {
        (row[0], row[1]): dict(zip(DAY_COLUMNS, row[2:], strict=True))
        for row in conn.execute(
            f"SELECT agent_id, date, {', '.join(DAY_COLUMNS)} FROM public.daily_stats".encode()
        )
    }


def recount_months(conn: Connection) -> dict[MonthKey, Figures]:
    """What monthly_usage_summary must hold, by user and month of UTC.

    Agents and limit of the running month are today's; of a month that is over nobody can count
    them any more, so they are taken for right.
    """
    months: defaultdict[MonthKey, list[Any]] = defaultdict(list)
    for user, at, *row in conn.execute(
        "SELECT user_id, created_at, usage_type, total_tokens, total_cost"
        " FROM public.usage_logs WHERE user_id IS NOT NULL"
    ):
        utc = at.astimezone(UTC)
        months[user, utc.year, utc.month].append(row)
    frames = {
        key: (row["total_agents"], row["message_limit"]) for key, row in stored_months(conn).items()
    }
    for user, year, month, *frame in conn.execute(
        "SELECT p.id, extract(year FROM now() AT TIME ZONE 'UTC')::int,"
        " extract(month FROM now() AT TIME ZONE 'UTC')::int,"
        " (SELECT count(*) FROM public.agents AS a WHERE a.user_id = p.id), p.monthly_message_limit"
        " FROM public.user_profiles AS p"
    ):
        frames[user, year, month] = (frame[0], frame[1])
    return {key: usage_of(rows, *frames.get(key, (None, 0))) for key, rows in months.items()}


def usage_of(rows: list[Any], agents: int | None, limit: int) -> Figures:
    """The columns of monthly_usage_summary from a month's logs."""
    messages = sum(kind == "message" for kind, _, _ in rows)
    return {
        "total_messages": messages,
        "total_conversations": sum(kind == "conversation" for kind, _, _ in rows),
        "total_tokens": sum(tokens for _, tokens, _ in rows),
        "total_ai_requests": sum(tokens > 0 for _, tokens, _ in rows),
        "total_ai_cost": total(cost for _, _, cost in rows),
        "total_agents": agents,
        "message_limit": limit,
        "messages_remaining": max(limit - messages, 0),
        "overage_messages": max(messages - limit, 0),
    }


def stored_months(conn: Connection) -> dict[MonthKey, Figures]:
    """What monthly_usage_summary holds."""
    return {
        (row[0], row[1], row[2]): dict(zip(MONTH_COLUMNS, row[3:], strict=True))
        for row in conn.execute(
            f"SELECT user_id, year, month, {', '.join(MONTH_COLUMNS)}"
            " FROM public.monthly_usage_summary".encode()
        )
    }


def recount_counters(conn: Connection) -> dict[UUID, tuple[int, ...]]:
    """Of each agent (conversations, messages, leads), of each conversation (messages,)."""
    talked: dict[UUID, UUID] = dict(conn.execute("SELECT id, agent_id FROM public.conversations"))
    said = [row[0] for row in conn.execute("SELECT conversation_id FROM public.messages")]
    left = [row[0] for row in conn.execute("SELECT agent_id FROM public.leads")]
    lengths: defaultdict[UUID, int] = defaultdict(int)
    sums: defaultdict[UUID, list[int]] = defaultdict(lambda: [0, 0, 0])
    for conversation in said:
        lengths[conversation] += 1
        sums[talked[conversation]][1] += 1
    for agent in talked.values():
        sums[agent][0] += 1
    for agent in left:
        sums[agent][2] += 1
    agents = [row[0] for row in conn.execute("SELECT id FROM public.agents")]
    return {agent: tuple(sums[agent]) for agent in agents} | {
        conversation: (lengths[conversation],) for conversation in talked
    }


def stored_counters(conn: Connection) -> dict[UUID, tuple[int, ...]]:
    """What agents and conversations say of themselves."""
    counters: dict[UUID, tuple[int, ...]] = {}
    for agent, *sums in conn.execute(
        "SELECT id, total_conversations, total_messages, total_leads FROM public.agents"
    ):
        counters[agent] = tuple(sums)
    for conversation, messages in conn.execute(
        "SELECT id, message_count FROM public.conversations"
    ):
        counters[conversation] = (messages,)
    return counters


def differences(stored: dict[K, V], counted: dict[K, V]) -> dict[K, tuple[V | None, V | None]]:
    """(stored, counted) of each key where the two are not the same."""
    return {
        key: (stored.get(key), counted.get(key))
        for key in stored.keys() | counted.keys()
        if stored.get(key) != counted.get(key)
    }
