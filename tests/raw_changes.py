"""Changes of every sort to the raw rows that figures are counted from.

A change is a name and three numbers, which pick rows, moments and values: hypothesis draws them in
one test, a random generator in others. Rows picked may be gone by then: nothing happens.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from db import retention
from db.pool import Connection
from tests.integration.people import sign_up

ZONES = (
    "UTC", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo",
)  # fmt: skip
# About each, clocks change somewhere in ZONES: by an hour, by half of one, at midnight itself.
DAYS = (
    datetime(2024, 3, 10),  # noqa: DTZ001 - a wall clock, in any zone
    datetime(2024, 11, 3),  # noqa: DTZ001
    datetime(2024, 10, 6),  # noqa: DTZ001
    datetime(2018, 11, 4),  # noqa: DTZ001
    datetime(2018, 2, 17),  # noqa: DTZ001
    datetime(2024, 12, 31),  # noqa: DTZ001
)
OFFSETS = (
    timedelta(0), timedelta(microseconds=-1), timedelta(minutes=7), timedelta(hours=11),
    timedelta(minutes=-31), timedelta(minutes=44, seconds=59),
)  # fmt: skip
LABELS = (None, "positive", "neutral", "negative")
STATUSES = ("active", "resolved", "archived")
ROLES = ("user", "assistant", "system")
EVENTS = ("widget_opened", "widget_open", "widget.opened", "message_sent", "widget_closed")
USAGE = ("message", "conversation", "knowledge_chunk", "embedding", "api_call", "export")
COSTS = (Decimal(0), Decimal("0.0000000001"), Decimal("0.0123456789"), Decimal("1234567.89"))
VISITORS = 3
AGENTS = 3


@dataclass
class Rows:
    """The ids that there are, or were; `place` chooses the day that all moments lie about."""

    place: int = 0
    users: list[UUID] = field(default_factory=list)
    agents: list[UUID] = field(default_factory=list)
    conversations: list[UUID] = field(default_factory=list)
    messages: list[UUID] = field(default_factory=list)
    leads: list[UUID] = field(default_factory=list)
    events: list[UUID] = field(default_factory=list)
    usage: list[UUID] = field(default_factory=list)

    def moment(self, number: int) -> datetime:
        """Near a midnight of one of ZONES, up to three days before or after; or just now."""
        if number % 10 == 9:
            return datetime.now(UTC)
        number, zone = divmod(number, len(ZONES))
        number, offset = divmod(number, len(OFFSETS))
        day = DAYS[self.place % len(DAYS)] + timedelta(days=number % 7 - 3)
        return day.replace(tzinfo=ZoneInfo(ZONES[zone])).astimezone(UTC) + OFFSETS[offset]


def people(conn: Connection, place: int = 0, *, agents: int = AGENTS) -> Rows:
    """Two owners with agents, who have some visits and messages each."""
    rows = Rows(place)
    for _ in range(2):
        rows.users.append(sign_up(conn, uuid4().hex))
    for number in range(agents):
        add_agent(conn, rows, number, 0, 0)
    for number in range(3 * agents):
        add_conversation(conn, rows, number, 5 * number, number)
        add_messages(conn, rows, number, 7 * number, number)
    return rows


def pick(ids: list[UUID], number: int) -> UUID:
    return ids[number % len(ids)] if ids else UUID(int=0)


def remember(ids: list[UUID]) -> UUID:
    ids.append(uuid4())
    return ids[-1]


Change = Callable[[Connection, Rows, int, int, int], object]


def add_agent(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "INSERT INTO public.agents (id, user_id, name) VALUES (%s, %s, 'Agent')",
        (remember(rows.agents), pick(rows.users, a)),
    )


def add_conversation(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "INSERT INTO public.conversations"
        " (id, agent_id, visitor_id, status, sentiment_label, duration_seconds, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (
            remember(rows.conversations), pick(rows.agents, a), f"v{c % VISITORS}",
            STATUSES[c % 3], LABELS[c % 4], c, rows.moment(b),
        ),
    )  # fmt: skip


def add_messages(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    """Up to three in one statement, of which the later two may be another conversation's."""
    many = c % 3 + 1
    conn.execute(
        "INSERT INTO public.messages"
        " (id, conversation_id, role, content, tokens_used, response_time_ms, created_at)"
        " SELECT id, conversation_id, role, 'text', tokens, ms, at"
        " FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::int[], %s::int[],"
        " %s::timestamptz[]) AS m (id, conversation_id, role, tokens, ms, at)"
        " WHERE conversation_id IN (SELECT c.id FROM public.conversations AS c)",
        (
            [remember(rows.messages) for _ in range(many)],
            [pick(rows.conversations, a + n * c) for n in range(many)],
            [ROLES[(c + n) % 3] for n in range(many)],
            [n * c for n in range(many)],
            [c * 7 if n else None for n in range(many)],
            [rows.moment(b + n) for n in range(many)],
        ),
    )


def add_visits(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    """Many agents' conversations in one statement."""
    agents = [pick(rows.agents, a + n) for n in range(4)]
    conn.execute(
        "INSERT INTO public.conversations (id, agent_id, visitor_id, created_at)"
        " SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[])",
        (
            [remember(rows.conversations) for _ in agents], agents,
            [f"v{(c + n) % VISITORS}" for n in range(4)],
            [rows.moment(b + n * c) for n in range(4)],
        ),
    )  # fmt: skip


def add_lead(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "INSERT INTO public.leads (id, agent_id, conversation_id, created_at)"
        " VALUES (%s, %s, (SELECT id FROM public.conversations WHERE id = %s), %s)",
        (
            remember(rows.leads), pick(rows.agents, a),
            pick(rows.conversations, c) if c % 2 else None, rows.moment(b),
        ),
    )  # fmt: skip


def add_event(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "INSERT INTO public.analytics_events (id, agent_id, event_type, created_at)"
        " VALUES (%s, %s, %s, %s)",
        (remember(rows.events), pick(rows.agents, a), EVENTS[c % 5], rows.moment(b)),
    )


def add_usage(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "INSERT INTO public.usage_logs"
        " (id, user_id, agent_id, usage_type, total_tokens, total_cost, created_at)"
        " VALUES (%s, %s, (SELECT id FROM public.agents WHERE id = %s), %s, %s, %s, %s)",
        (
            remember(rows.usage), pick(rows.users, a), pick(rows.agents, a) if c % 4 else None,
            USAGE[c % 6], c % 5 * 100, COSTS[c % 4], rows.moment(b),
        ),
    )  # fmt: skip


def log_usage(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    row = conn.execute(
        "SELECT public.log_usage(%s, (SELECT id FROM public.agents WHERE id = %s), %s, %s, %s)",
        (pick(rows.users, a), pick(rows.agents, a), USAGE[c % 6], c % 3 * 10, COSTS[b % 4]),
    ).fetchone()
    assert row is not None
    rows.usage.append(row[0])


def move_message(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.messages SET conversation_id = %s WHERE id = %s",
        (pick(rows.conversations, c), pick(rows.messages, a)),
    )


def move_messages(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    """Those of two conversations change places, in one statement."""
    conn.execute(
        "UPDATE public.messages SET conversation_id ="
        " CASE conversation_id WHEN %(one)s THEN %(other)s::uuid ELSE %(one)s END"
        " WHERE conversation_id IN (%(one)s, %(other)s)",
        {"one": pick(rows.conversations, a), "other": pick(rows.conversations, c)},
    )


def edit_message(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.messages SET role = %s, tokens_used = %s, response_time_ms = %s"
        " WHERE id = %s",
        (ROLES[c % 3], c, c * 3 if c % 2 else None, pick(rows.messages, a)),
    )


def date_message(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.messages SET created_at = %s WHERE id = %s",
        (rows.moment(b), pick(rows.messages, a)),
    )


def move_conversation(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.conversations SET agent_id = %s WHERE id = %s",
        (pick(rows.agents, c), pick(rows.conversations, a)),
    )


def move_visitor(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    """All that one visitor ever held with an agent goes to another, in one statement."""
    conn.execute(
        "UPDATE public.conversations SET agent_id = %s WHERE agent_id = %s AND visitor_id = %s",
        (pick(rows.agents, b), pick(rows.agents, a), f"v{c % VISITORS}"),
    )


def edit_conversation(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.conversations SET status = %s, sentiment_label = %s, duration_seconds = %s"
        " WHERE id = %s",
        (STATUSES[c % 3], LABELS[b % 4], c * 11, pick(rows.conversations, a)),
    )


def rename_visitor(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.conversations SET visitor_id = %s WHERE id = %s",
        (f"v{c % VISITORS}", pick(rows.conversations, a)),
    )


def date_conversation(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.conversations SET created_at = %s WHERE id = %s",
        (rows.moment(b), pick(rows.conversations, a)),
    )


def date_conversations(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    """All of an agent, by hours, in one statement; by c also its messages."""
    shift = timedelta(hours=b % 60 - 30)
    agent = pick(rows.agents, a)
    conn.execute(
        "UPDATE public.conversations SET created_at = created_at + %s WHERE agent_id = %s",
        (shift, agent),
    )
    if c % 2:
        conn.execute(
            "UPDATE public.messages AS m SET created_at = m.created_at + %s"
            " FROM public.conversations AS c WHERE c.id = m.conversation_id AND c.agent_id = %s",
            (shift, agent),
        )


def store_conversation(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    """Inserted, or changed where it is there already: one statement fires both triggers."""
    conn.execute(
        "INSERT INTO public.conversations AS k (id, agent_id, visitor_id, created_at)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE"
        " SET visitor_id = excluded.visitor_id, created_at = excluded.created_at",
        (
            pick(rows.conversations, a) if a % 3 else remember(rows.conversations),
            pick(rows.agents, a), f"v{c % VISITORS}", rows.moment(b),
        ),
    )  # fmt: skip


def edit_lead(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.leads SET agent_id = %s, created_at = %s WHERE id = %s",
        (pick(rows.agents, c), rows.moment(b), pick(rows.leads, a)),
    )


def edit_event(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.analytics_events SET agent_id = %s, event_type = %s, created_at = %s"
        " WHERE id = %s",
        (pick(rows.agents, c), EVENTS[c % 5], rows.moment(b), pick(rows.events, a)),
    )


def edit_usage(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.usage_logs SET user_id = %s, usage_type = %s, total_tokens = %s,"
        " agent_id = (SELECT id FROM public.agents WHERE id = %s), total_cost = %s,"
        " created_at = %s WHERE id = %s",
        (
            pick(rows.users, c), USAGE[c % 6], c % 4 * 50, pick(rows.agents, c) if c % 3 else None,
            COSTS[b % 4], rows.moment(b), pick(rows.usage, a),
        ),
    )  # fmt: skip


def delete_message(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute("DELETE FROM public.messages WHERE id = %s", (pick(rows.messages, a),))


def delete_messages(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "DELETE FROM public.messages WHERE conversation_id = ANY(%s)",
        ([pick(rows.conversations, a), pick(rows.conversations, b)],),
    )


def delete_conversation(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute("DELETE FROM public.conversations WHERE id = %s", (pick(rows.conversations, a),))


def delete_visitor(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "DELETE FROM public.conversations WHERE agent_id = %s AND visitor_id = %s",
        (pick(rows.agents, a), f"v{c % VISITORS}"),
    )


def delete_lead(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute("DELETE FROM public.leads WHERE id = %s", (pick(rows.leads, a),))


def delete_event(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute("DELETE FROM public.analytics_events WHERE id = %s", (pick(rows.events, a),))


def forget_events(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    """For their age: what they count into stays as it is."""
    with conn.transaction():
        retention.delete_analytics(conn, since=None, rows_max=c % 4)
        conn.execute("SET LOCAL avivro.retention = 'off'")


def delete_usage(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute("DELETE FROM public.usage_logs WHERE id = %s", (pick(rows.usage, a),))


def delete_agent(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    """With all that hangs on it; usage_logs stay, without an agent."""
    conn.execute("DELETE FROM public.agents WHERE id = %s", (pick(rows.agents, a),))


def set_zone(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.user_profiles SET time_zone = %s WHERE id = %s",
        (ZONES[c % len(ZONES)], pick(rows.users, a)),
    )


def set_limit(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.user_profiles SET monthly_message_limit = %s WHERE id = %s",
        (c % 4, pick(rows.users, a)),
    )


def give_agent(conn: Connection, rows: Rows, a: int, b: int, c: int) -> None:
    conn.execute(
        "UPDATE public.agents SET user_id = %s WHERE id = %s",
        (pick(rows.users, c), pick(rows.agents, a)),
    )


ADDITIONS: tuple[Change, ...] = (
    add_conversation, add_messages, add_visits, add_lead, add_event, add_usage, log_usage,
    store_conversation,
)  # fmt: skip
EDITS: tuple[Change, ...] = (
    move_message, move_messages, edit_message, date_message, move_conversation, move_visitor,
    edit_conversation, rename_visitor, date_conversation, date_conversations, edit_lead,
    edit_event, edit_usage,
)  # fmt: skip
DELETIONS: tuple[Change, ...] = (
    delete_message, delete_messages, delete_conversation, delete_visitor, delete_lead,
    delete_event, delete_usage, forget_events,
)  # fmt: skip
# About everything an agent has.
UPHEAVALS: tuple[Change, ...] = (set_zone, set_limit, give_agent, delete_agent, add_agent)
# As often as a test should make them.
CHANGES: tuple[Change, ...] = ADDITIONS * 3 + EDITS * 2 + DELETIONS + UPHEAVALS
BY_NAME = {change.__name__: change for change in CHANGES}
