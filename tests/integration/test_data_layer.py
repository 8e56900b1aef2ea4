"""The Python twin of every example in the documentation, under the caller's own rights."""

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

import db
from db import agents, conversations, knowledge, leads, messages, rows, webhooks
from db.pool import Connection
from tests.integration.people import sign_up

IGNORED = {"id", "created_at", "updated_at", "visitor_id", "secret"}


@dataclass(frozen=True)
class Shop:
    """An owner with a published agent, and somebody else."""

    conn: Connection
    owner: UUID
    stranger: UUID
    agent: agents.Agent


@pytest.fixture
def shop(conn: Connection) -> Shop:
    owner, stranger = sign_up(conn, "owner"), sign_up(conn, "stranger")
    with db.acting_as(conn, owner):
        agent = agents.create(conn, user_id=owner, name="Support", is_published=True)
    return Shop(conn, owner, stranger, agent)


def test_an_agent_is_created_with_what_was_given(shop: Shop) -> None:
    with db.acting_as(shop.conn, shop.owner):
        agent = db.agents.create(
            shop.conn,
            user_id=shop.owner,
            name="Customer Support Bot",
            description="Helpful customer support assistant",
            ai_model="anthropic/claude-3.5-sonnet",
            temperature=0.2,
            system_prompt="You are a helpful customer support agent...",
        )

    assert (agent.name, float(agent.temperature)) == ("Customer Support Bot", 0.2)
    assert agent.system_prompt == "You are a helpful customer support agent..."
    assert agents.get(shop.conn, agent.id) == agent


@pytest.mark.parametrize("area", ["agents", "messages", "leads", "knowledge", "webhooks"])
def test_what_is_not_given_is_the_tables_default(shop: Shop, area: str) -> None:
    conversation_id = conversations.open(shop.conn, agent_id=shop.agent.id)
    of_agent: dict[str, Any] = {"agent_id": shop.agent.id}
    of_user: dict[str, Any] = {"user_id": shop.owner, "name": "n"}
    cases: dict[str, tuple[str, Callable[..., Any], dict[str, Any]]] = {
        "agents": ("agents", agents.create, of_user),
        "messages": (
            "messages",
            messages.create,
            {"conversation_id": conversation_id, "role": "user", "content": "hi"},
        ),
        "leads": ("leads", leads.create, of_agent),
        "knowledge": (
            "knowledge_sources",
            knowledge.create_source,
            {**of_agent, "name": "n", "type": "text"},
        ),
        "webhooks": ("webhooks", webhooks.create, {**of_user, "url": "https://example.com"}),
    }
    table, create, given = cases[area]

    created = create(shop.conn, **given)

    assert different(created, plain_insert(shop.conn, table, given)) == set()


def test_what_is_not_given_to_open_is_the_tables_default(shop: Shop) -> None:
    conversation_id = conversations.open(shop.conn, agent_id=shop.agent.id)

    created = conversations.get(shop.conn, conversation_id)

    plain = plain_insert(shop.conn, "conversations", {"agent_id": shop.agent.id})
    assert different(created, plain) == set()


def test_analytics_count_a_span_of_days(shop: Shop) -> None:
    with db.acting_as(shop.conn, shop.owner):
        conversation_id = conversations.open(shop.conn, agent_id=shop.agent.id)
        messages.create(
            shop.conn,
            conversation_id=conversation_id,
            role="assistant",
            content="hello",
            response_time_ms=250,
        )
        today = shop.conn.execute("SELECT current_date::text").fetchone()
        assert today is not None

        figures = db.agents.get_analytics(shop.conn, shop.agent.id, today[0], today[0])
        earlier = db.agents.get_analytics(shop.conn, shop.agent.id, "2025-01-01", "2025-01-31")

    assert (figures.total_conversations, figures.total_messages) == (1, 1)
    assert float(figures.avg_response_time or 0) == 250
    assert (earlier.total_messages, earlier.avg_response_time) == (0, None)


def test_a_list_of_conversations_is_filtered_and_paged(shop: Shop) -> None:
    with db.acting_as(shop.conn, shop.owner):
        for number in range(5):
            conversations.open(shop.conn, agent_id=shop.agent.id, visitor_name=f"100% {number}")
        other = conversations.open(shop.conn, agent_id=shop.agent.id, visitor_name="100 other")
        conversations.update(shop.conn, other, status="resolved")

        first = db.conversations.list(
            shop.conn, shop.agent.id, status="active", search_term="100%", limit=2
        )
        last = conversations.list(
            shop.conn, shop.agent.id, status="active", search_term="100%", limit=2, offset=4
        )

    assert [found.total_count for found in first] == [5, 5]
    assert len(last) == 1
    assert last[0].visitor_name not in {found.visitor_name for found in first}


def test_a_conversation_comes_with_its_messages_in_order(shop: Shop) -> None:
    with db.acting_as(shop.conn, shop.owner):
        conversation_id = conversations.open(shop.conn, agent_id=shop.agent.id)
    for text in ("one", "two"):
        with db.acting_as_anon(shop.conn):
            messages.send(shop.conn, conversation_id, text)

    with db.acting_as(shop.conn, shop.owner):
        found = db.conversations.get_with_messages(shop.conn, conversation_id)

    assert found is not None
    assert [message.content for message in found.messages] == ["one", "two"]
    assert (found.id, found.message_count, found.status) == (conversation_id, 2, "active")


def test_an_assistants_message_is_stored(shop: Shop) -> None:
    with db.acting_as(shop.conn, shop.owner):
        conversation_id = conversations.open(shop.conn, agent_id=shop.agent.id)

        message = db.messages.create(
            shop.conn,
            conversation_id=conversation_id,
            role="assistant",
            content="How can I help you today?",
            model="anthropic/claude-3.5-sonnet",
            tokens_used=150,
        )

    assert (message.role, message.tokens_used) == ("assistant", 150)


def test_a_lead_is_created_and_updated(shop: Shop) -> None:
    with db.acting_as(shop.conn, shop.owner):
        lead = db.leads.create(
            shop.conn,
            agent_id=shop.agent.id,
            name="Jane Smith",
            email="jane@example.com",
            phone="+1234567890",
            status="new",
            custom_fields={"company": "Acme Inc", "budget": "$10k"},
        )
        changed = db.leads.update(
            shop.conn, lead.id, status="contacted", notes="Discussed requirements", phone=None
        )

    assert lead.custom_fields == {"company": "Acme Inc", "budget": "$10k"}
    assert changed is not None
    assert (changed.status, changed.notes, changed.phone) == (
        "contacted",
        "Discussed requirements",
        None,
    )
    assert (changed.name, changed.custom_fields) == (lead.name, lead.custom_fields)


def test_two_updates_at_once_keep_both_changes(shop: Shop, database_url: str) -> None:
    lead = leads.create(shop.conn, agent_id=shop.agent.id)
    with psycopg.connect(database_url) as other, ThreadPoolExecutor() as threads:
        leads.update(other, lead.id, notes="from the other")
        waiting = threads.submit(leads.update, shop.conn, lead.id, score=50)
        wait_until_blocked(other, shop.conn.info.backend_pid)

        other.commit()
        changed = waiting.result(timeout=10)

    assert changed is not None
    assert (changed.notes, changed.score) == ("from the other", 50)


def test_a_knowledge_source_waits_for_its_worker(shop: Shop) -> None:
    with db.acting_as(shop.conn, shop.owner):
        source = db.knowledge.create_source(
            shop.conn,
            agent_id=shop.agent.id,
            name="Product Documentation",
            type="url",
            url="https://docs.example.com",
            auto_sync=True,
            sync_frequency="daily",
        )

    queued = shop.conn.execute(
        "SELECT count(*) FROM worker.jobs WHERE kind = 'index_source' "
        "AND args ->> 'source_id' = %s",
        (str(source.id),),
    ).fetchone()
    assert source.status == "pending"
    assert queued == (1,)


def test_a_search_finds_the_nearest_chunks_above_the_threshold(shop: Shop) -> None:
    with db.acting_as(shop.conn, shop.owner):
        source = knowledge.create_source(
            shop.conn, agent_id=shop.agent.id, name="n", type="text", content="c"
        )
        for number, place in enumerate((0, 1)):
            shop.conn.execute(
                "INSERT INTO public.knowledge_chunks "
                "(source_id, agent_id, content, chunk_index, embedding) "
                "VALUES (%s, %s, %s, %s, %s::text::extensions.vector)",
                (source.id, shop.agent.id, f"chunk {number}", number, str(unit_vector(place))),
            )

        found = db.knowledge.search_chunks(shop.conn, shop.agent.id, unit_vector(1), 0.7, 5)

    assert [(match.content, round(match.similarity, 6)) for match in found] == [("chunk 1", 1)]


def test_a_search_with_a_short_vector_says_so(shop: Shop) -> None:
    with pytest.raises(ValueError, match="has 3 numbers, not 1536"):
        knowledge.search_chunks(shop.conn, shop.agent.id, [1, 2, 3])


def test_a_webhook_lists_its_deliveries(shop: Shop) -> None:
    with db.acting_as(shop.conn, shop.owner):
        webhook = db.webhooks.create(
            shop.conn,
            user_id=shop.owner,
            agent_id=shop.agent.id,
            name="Slack Notifications",
            url="https://hooks.slack.com/services/x",
            secret="webhook_secret_key",
            events=["conversation.started", "lead.captured"],
        )
        leads.create(shop.conn, agent_id=shop.agent.id, name="Jane")
        deliveries = db.webhooks.get_deliveries(shop.conn, webhook.id, 50)

    assert [delivery.event_type for delivery in deliveries] == ["lead.captured"]
    assert "webhook_secret_key" not in repr(webhook)


def test_another_user_sees_and_changes_nothing(shop: Shop) -> None:
    conversation_id = conversations.open(shop.conn, agent_id=shop.agent.id)
    lead = leads.create(shop.conn, agent_id=shop.agent.id)

    with db.acting_as(shop.conn, shop.stranger):
        seen = (
            agents.list(shop.conn, shop.owner),
            conversations.list(shop.conn, shop.agent.id),
            conversations.get_with_messages(shop.conn, conversation_id),
            leads.update(shop.conn, lead.id, notes="mine now"),
            agents.update(shop.conn, shop.agent.id, name="mine now"),
            agents.delete(shop.conn, shop.agent.id),
        )

    assert seen == ([], [], None, None, None, False)


def test_nobody_creates_an_agent_for_somebody_else(shop: Shop) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        db.acting_as(shop.conn, shop.stranger),
    ):
        agents.create(shop.conn, user_id=shop.owner, name="theirs")


def test_a_visitor_writes_and_reads_nothing_back(shop: Shop) -> None:
    with db.acting_as_anon(shop.conn):
        conversation_id = conversations.open(shop.conn, agent_id=shop.agent.id)
        message_id = messages.send(shop.conn, conversation_id, "hello")
        lead_id = leads.submit(
            shop.conn, agent_id=shop.agent.id, conversation_id=conversation_id, name="Jane"
        )
    with pytest.raises(psycopg.errors.InsufficientPrivilege), db.acting_as_anon(shop.conn):
        messages.list(shop.conn, conversation_id)

    assert [m.id for m in messages.list(shop.conn, conversation_id)] == [message_id]
    assert [lead.id for lead in leads.list(shop.conn, shop.agent.id)] == [lead_id]


def test_an_unknown_column_is_named_with_the_known_ones(shop: Shop) -> None:
    misspelt: dict[str, Any] = {"statsu": "contacted"}

    with pytest.raises(db.UnknownColumnError, match=r"leads has no column statsu .* status"):
        leads.update(shop.conn, uuid4(), **misspelt)


def test_a_column_that_the_database_keeps_is_refused(shop: Shop) -> None:
    with pytest.raises(db.UnknownColumnError, match="total_leads"):
        agents.update(shop.conn, shop.agent.id, total_leads=7)


def test_text_is_stored_as_it_is(shop: Shop) -> None:
    text = """it's "quoted" \\ 100% {} %(name)s; DROP TABLE x; -- é 漢字 🎉\n\t"""

    lead = leads.create(
        shop.conn, agent_id=shop.agent.id, notes=text, tags=[text, "b"], custom_fields={"k": text}
    )

    assert (lead.notes, lead.tags, lead.custom_fields) == (text, [text, "b"], {"k": text})


def test_a_column_of_a_newer_schema_is_left_out(shop: Shop) -> None:
    shop.conn.execute("ALTER TABLE public.agents ADD COLUMN hue int DEFAULT 7")

    assert agents.get(shop.conn, shop.agent.id) is not None


@pytest.mark.parametrize("area", ["agents", "conversations", "messages", "leads", "knowledge",
                                  "webhooks"])  # fmt: skip
def test_everything_that_is_written_may_be_written_by_an_owner(conn: Connection, area: str) -> None:
    module = getattr(db, area)
    for name in module.SQL.names():
        verb = name.split("_")[0]
        if verb not in ("create", "open", "update"):
            continue
        table, columns = rows.columns_of(getattr(module.SQL, name))
        right = "UPDATE" if verb == "update" else "INSERT"
        denied = conn.execute(
            "SELECT c FROM unnest(%s::text[]) AS c WHERE NOT "
            "has_column_privilege('authenticated', 'public.' || %s, c, %s)",
            (list(columns), table, right),
        ).fetchall()
        assert denied == [], (table, verb)


def test_importing_the_layer_loads_none_of_it() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, db; print('psycopg' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert loaded.stdout.strip() == "False"


def wait_until_blocked(conn: Connection, backend_pid: int) -> None:
    deadline = time.monotonic() + 10
    while conn.execute("SELECT pg_blocking_pids(%s)", (backend_pid,)).fetchone() == ([],):
        assert time.monotonic() < deadline, "never waited for the row"
        time.sleep(0.01)


def unit_vector(place: int) -> list[float]:
    return [1.0 if number == place else 0.0 for number in range(knowledge.DIMENSIONS)]


def plain_insert(conn: Connection, table: str, given: dict[str, Any]) -> dict[str, Any]:
    """The row that the table itself makes of these columns."""
    names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, given))
    marks = psycopg.sql.SQL(", ").join(map(psycopg.sql.Placeholder, given))
    statement = psycopg.sql.SQL("INSERT INTO public.{} ({}) VALUES ({}) RETURNING *").format(
        psycopg.sql.Identifier(table), names, marks
    )
    cursor = conn.cursor(row_factory=psycopg.rows.dict_row).execute(statement, given)
    found = cursor.fetchone()
    assert found is not None
    return found


def different(created: Any, plain: dict[str, Any]) -> set[str]:
    """Columns in which two rows differ, but for those that always do."""
    names = {field.name for field in fields(created)} - IGNORED
    return {name for name in names if getattr(created, name) != plain[name]}
