"""Two customers with one row in every table, and ways to act as someone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid5

from psycopg import sql
from psycopg.types.json import Jsonb

from db.pool import Connection

OWNER = UUID("00000000-0000-4000-8000-00000000000a")
OTHER = UUID("00000000-0000-4000-8000-00000000000b")
VECTOR = "[" + ",".join(["1"] + ["0"] * 1535) + "]"

TABLES = (
    "user_profiles",
    "agents",
    "conversations",
    "messages",
    "leads",
    "knowledge_sources",
    "knowledge_chunks",
    "corrections",
    "training_examples",
    "analytics_events",
    "daily_stats",
    "sentiment_analysis",
    "usage_logs",
    "monthly_usage_summary",
    "billing_transactions",
    "subscription_history",
    "api_keys",
    "webhooks",
    "webhook_deliveries",
    "notifications",
    "activity_logs",
    "email_logs",
)


def row_id(table: str, user: UUID = OWNER) -> UUID:
    """The id of a customer's row in a table; a profile's is the customer's."""
    return user if table == "user_profiles" else uuid5(user, table)


def build(conn: Connection) -> None:
    """Give both customers a published agent and one row in each of the 22 tables."""
    for user, email in ((OWNER, "owner@example.com"), (OTHER, "other@example.com")):
        sign_up(conn, user, email)
        for table in TABLES[1:]:
            insert(conn, table, row(table, user))


def sign_up(conn: Connection, user: UUID, email: str, metadata: Any = None) -> None:
    conn.execute(
        "INSERT INTO auth.users (id, email, raw_user_meta_data) VALUES (%s, %s, %s)",
        (user, email, Jsonb({} if metadata is None else metadata)),
    )


def insert(conn: Connection, table: str, values: dict[str, Any]) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, values))
    slots = sql.SQL(", ").join(sql.Placeholder() for _ in values)
    conn.execute(
        sql.SQL("INSERT INTO public.{} ({}) VALUES ({})").format(
            sql.Identifier(table), names, slots
        ),
        [Jsonb(value) if isinstance(value, dict) else value for value in values.values()],
    )


def row(table: str, user: UUID = OWNER) -> dict[str, Any]:
    """A customer's row of a table, by the columns a web tier would write."""
    return {"id": row_id(table, user), **columns(table, user)}


def columns(table: str, user: UUID) -> dict[str, Any]:
    agent = {"agent_id": row_id("agents", user)}
    conversation = {"conversation_id": row_id("conversations", user)}
    whose: dict[str, dict[str, Any]] = {
        "user_profiles": {"full_name": "A person"},
        "agents": {"user_id": user, "name": "Agent", "system_prompt": "s", "is_published": True},
        "conversations": {**agent, "visitor_id": "v1"},
        "messages": {**conversation, "role": "user", "content": "hello"},
        "leads": {**agent, **conversation, "email": "lead@example.com"},
        "knowledge_sources": {**agent, "name": "Source", "type": "text", "content": "x"},
        "knowledge_chunks": {
            **agent,
            "source_id": row_id("knowledge_sources", user),
            "content": "x",
            "embedding": VECTOR,
        },
        "corrections": {
            **agent,
            "message_id": row_id("messages", user),
            "original_response": "a",
            "corrected_response": "b",
        },
        "training_examples": {**agent, "input": "q", "expected_output": "a"},
        "analytics_events": {**agent, "event_type": "widget_opened"},
        "daily_stats": {**agent, "date": "2030-01-01"},
        "sentiment_analysis": {**agent, **conversation, "overall_score": 0, "label": "neutral"},
        "usage_logs": {"user_id": user, **agent, "usage_type": "message"},
        "monthly_usage_summary": {"user_id": user, "year": 2030, "month": 1},
        "billing_transactions": {
            "user_id": user,
            "type": "subscription",
            "amount": 1,
            "total_amount": 1,
        },
        "subscription_history": {"user_id": user, "tier": "free", "status": "active"},
        "api_keys": {
            "user_id": user,
            "name": "k",
            "key_hash": user.hex * 2,
            "key_prefix": "avk_1234",
        },
        "webhooks": {"user_id": user, "name": "w", "url": "https://example.com/hook"},
        "webhook_deliveries": {
            "webhook_id": row_id("webhooks", user),
            "event_type": "webhook.test",
        },
        "notifications": {"user_id": user, "type": "new_lead", "title": "t", "message": "m"},
        "activity_logs": {"user_id": user, "action": "created"},
        "email_logs": {"user_id": user, "to_email": "a@example.com", "email_type": "welcome"},
    }
    return whose[table]


@contextmanager
def acting_as(conn: Connection, role: str, user: UUID | None = None) -> Iterator[None]:
    """Run a block as PostgREST would: the role, the user's claims, and all of it undone after."""
    claims = {"role": role} | ({"sub": str(user)} if user else {})
    with conn.transaction(force_rollback=True):
        conn.execute(
            "SELECT set_config('request.jwt.claims', (%s::jsonb)::text, true)", [Jsonb(claims)]
        )
        conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        yield
