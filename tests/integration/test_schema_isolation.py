"""Who may do what to whose row: the table below is the whole answer, read from the top.

`Y` works, `-` touches no row or is refused. Each row is one of the 22 tables; each column is
select, insert, update, delete on a row of OWNER.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from db.embedded import Services
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.integration.schema_world import (
    OTHER,
    OWNER,
    TABLES,
    acting_as,
    build,
    columns,
    insert,
    row_id,
    sign_up,
)

COMMANDS = ("select", "insert", "update", "delete")
EXPECTED = """
    table                  owner  other  anon   service
    user_profiles          Y-Y-   ----   ----   YYYY
    agents                 YYYY   ----   Y---   YYYY
    conversations          YYYY   -Y--   -Y--   YYYY
    messages               YYYY   -Y--   -Y--   YYYY
    leads                  YYYY   -Y--   -Y--   YYYY
    knowledge_sources      YYYY   ----   ----   YYYY
    knowledge_chunks       YYYY   ----   ----   YYYY
    corrections            YYYY   ----   ----   YYYY
    training_examples      YYYY   ----   ----   YYYY
    analytics_events       Y---   ----   ----   YYYY
    daily_stats            Y---   ----   ----   YYYY
    sentiment_analysis     Y---   ----   ----   YYYY
    usage_logs             Y---   ----   ----   YYYY
    monthly_usage_summary  Y---   ----   ----   YYYY
    billing_transactions   Y---   ----   ----   YYYY
    subscription_history   Y---   ----   ----   YYYY
    api_keys               YYYY   ----   ----   YYYY
    webhooks               YYYY   ----   ----   YYYY
    webhook_deliveries     Y---   ----   ----   YYYY
    notifications          Y-YY   ----   ----   YYYY
    activity_logs          Y---   ----   ----   YYYY
    email_logs             Y---   ----   ----   YYYY
"""
ACTORS: dict[str, tuple[str, UUID | None]] = {
    "owner": ("authenticated", OWNER),
    "other": ("authenticated", OTHER),
    "anon": ("anon", None),
    "service": ("service_role", None),
}
# A column that the role may write at all, so that only the row decides.
WRITABLE = {
    "user_profiles": "full_name",
    "agents": "name",
    "conversations": "visitor_name",
    "messages": "content",
    "leads": "name",
    "knowledge_sources": "name",
    "knowledge_chunks": "content",
    "corrections": "reason",
    "training_examples": "input",
    "analytics_events": "city",
    "daily_stats": "date",
    "sentiment_analysis": "label",
    "usage_logs": "ai_model",
    "monthly_usage_summary": "year",
    "billing_transactions": "invoice_url",
    "subscription_history": "billing_cycle",
    "api_keys": "name",
    "webhooks": "name",
    "webhook_deliveries": "error_message",
    "notifications": "is_read",
    "activity_logs": "description",
    "email_logs": "subject",
}
# A second row must differ where a table allows only one.
UNPROFILED = UUID("00000000-0000-4000-8000-00000000000c")
SECOND_ROW: dict[str, dict[str, Any]] = {
    "user_profiles": {"id": UNPROFILED},
    "api_keys": {"key_hash": "f" * 64},
    "daily_stats": {"date": "2030-01-02"},
    "monthly_usage_summary": {"month": 2},
    "sentiment_analysis": {"message_id": row_id("messages")},
}


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        build(connection)
        yield connection


@pytest.fixture
def conn(shared: Connection) -> Iterator[Connection]:
    """One database for the module; each test's writes are undone."""
    with shared.transaction(force_rollback=True):
        yield shared


def expected() -> dict[tuple[str, str], str]:
    lines = [line.split() for line in EXPECTED.strip().splitlines()]
    return {
        (cells[0], actor): marks
        for cells in lines[1:]
        for actor, marks in zip(lines[0][1:], cells[1:], strict=True)
    }


def attempt(conn: Connection, command: str, table: str) -> bool:
    """Whether the command reached OWNER's row; a refusal by rights or policy is a no."""
    name, key = sql.Identifier(table), row_id(table)
    try:
        if command == "insert":
            insert(
                conn, table, {"id": uuid4(), **columns(table, OWNER), **SECOND_ROW.get(table, {})}
            )
            return True
        written = sql.Identifier(WRITABLE[table])
        statement = {
            "select": sql.SQL("SELECT FROM public.{} WHERE id = %s"),
            "update": sql.SQL("UPDATE public.{0} SET {1} = {1} WHERE id = %s"),
            "delete": sql.SQL("DELETE FROM public.{} WHERE id = %s"),
        }[command]
        return conn.execute(statement.format(name, written), [key]).rowcount == 1
    except psycopg.errors.InsufficientPrivilege:
        return False


def reach_everything(conn: Connection) -> dict[tuple[str, str], str]:
    """Try each command of each actor on each table, and undo it."""
    sign_up(conn, UNPROFILED, "late@example.com")
    conn.execute("DELETE FROM public.user_profiles WHERE id = %s", [UNPROFILED])
    found = {}
    for table in TABLES:
        for actor, (role, user) in ACTORS.items():
            marks = ""
            for command in COMMANDS:
                with acting_as(conn, role, user):
                    marks += "Y" if attempt(conn, command, table) else "-"
            found[table, actor] = marks
    return found


def test_every_role_reaches_exactly_the_rows_the_table_says(conn: Connection) -> None:
    found = reach_everything(conn)

    assert found == expected()


def test_the_matrix_covers_every_table_of_the_schema(conn: Connection) -> None:
    tables = conn.execute(
        "SELECT array_agg(tablename::text ORDER BY tablename) FROM pg_tables"
        " WHERE schemaname = 'public'"
    ).fetchone()

    assert tables == (sorted(TABLES),)


@pytest.mark.parametrize("actor", ["other", "anon"])
@pytest.mark.parametrize("table", TABLES)
def test_an_update_without_where_changes_no_row_of_someone_else(
    conn: Connection, table: str, actor: str
) -> None:
    role, user = ACTORS[actor]
    statement = sql.SQL("UPDATE public.{0} SET {1} = {1}").format(
        sql.Identifier(table), sql.Identifier(WRITABLE[table])
    )
    version = sql.SQL("SELECT ctid::text FROM public.{} WHERE id = %s").format(
        sql.Identifier(table)
    )
    before = conn.execute(version, [row_id(table)]).fetchone()

    with acting_as(conn, role, user):
        with suppress(psycopg.errors.InsufficientPrivilege), conn.transaction():
            conn.execute(statement)
        conn.execute("RESET ROLE")
        after = conn.execute(version, [row_id(table)]).fetchone()

    assert (after, before is not None) == (before, True)


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("agents", "user_id", OTHER),
        ("conversations", "agent_id", row_id("agents", OTHER)),
        ("leads", "agent_id", row_id("agents", OTHER)),
        ("leads", "conversation_id", row_id("conversations", OTHER)),
        ("knowledge_sources", "agent_id", row_id("agents", OTHER)),
        ("knowledge_chunks", "source_id", row_id("knowledge_sources", OTHER)),
        ("corrections", "message_id", row_id("messages", OTHER)),
        ("webhooks", "agent_id", row_id("agents", OTHER)),
        ("user_profiles", "subscription_tier", "enterprise"),
        ("user_profiles", "monthly_message_limit", 10**6),
        ("user_profiles", "monthly_messages_used", 0),
        ("agents", "total_leads", 10**6),
        ("webhooks", "successful_deliveries", 10**6),
        ("api_keys", "key_hash", "e" * 64),
        ("notifications", "title", "forged"),
    ],
)
def test_owners_cannot_hand_over_rows_nor_write_what_the_system_keeps(
    conn: Connection, table: str, column: str, value: object
) -> None:
    statement = sql.SQL("UPDATE public.{} SET {} = %s WHERE id = %s").format(
        sql.Identifier(table), sql.Identifier(column)
    )

    with (
        acting_as(conn, "authenticated", OWNER),
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute(statement, [value, row_id(table)])


@pytest.mark.parametrize("role", ["anon", "authenticated"])
@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("messages", {"role": "assistant"}),
        ("messages", {"conversation_id": "closed"}),
        ("conversations", {"status": "resolved"}),
        ("conversations", {"agent_id": "unpublished"}),
        ("leads", {"agent_id": "unpublished"}),
        ("leads", {"status": "converted"}),
        ("leads", {"conversation_id": row_id("conversations", OTHER)}),
    ],
)
def test_visitors_write_only_to_what_is_open_to_them(
    conn: Connection, role: str, table: str, change: dict[str, object]
) -> None:
    hidden = {"unpublished": uuid4(), "closed": uuid4()}
    insert(conn, "agents", {"id": hidden["unpublished"], "user_id": OWNER, "name": "draft"})
    closed = {"id": hidden["closed"], **columns("conversations", OWNER), "status": "archived"}
    insert(conn, "conversations", closed)
    visitor = uuid4() if role == "authenticated" else None
    values = {"id": uuid4(), **columns(table, OWNER)} | {
        column: hidden.get(str(value), value) for column, value in change.items()
    }

    with (
        acting_as(conn, role, visitor),
        pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"),
    ):
        insert(conn, table, values)


@pytest.mark.parametrize("column", ["system_prompt", "user_id", "embed_code", "total_leads"])
def test_anon_cannot_name_a_private_column_of_an_agent(conn: Connection, column: str) -> None:
    statement = sql.SQL("SELECT {} FROM public.agents").format(sql.Identifier(column))

    with acting_as(conn, "anon"), pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement)


def test_other_signed_in_users_see_published_agents_without_their_prompt(conn: Connection) -> None:
    insert(conn, "agents", {"id": uuid4(), "user_id": OWNER, "name": "draft"})

    with acting_as(conn, "authenticated", uuid4()):
        shown = conn.execute("SELECT * FROM public.published_agents")
        names = {column.name for column in shown.description or []}
        ids = {row[0] for row in shown}

    assert ids == {row_id("agents", OWNER), row_id("agents", OTHER)}
    assert not names & {"system_prompt", "user_id"}


@pytest.mark.parametrize("role", ["anon", "authenticated"])
def test_web_roles_reach_nothing_of_the_engine(conn: Connection, role: str) -> None:
    tables = conn.execute(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('worker', 'private')"
    ).fetchall()

    open_ones = [
        f"{schema}.{table}"
        for schema, table in tables
        for (allowed,) in conn.execute(
            "SELECT has_schema_privilege(%(role)s, %(schema)s, 'USAGE') AND"
            " has_any_column_privilege(%(role)s, format('%%I.%%I', %(schema)s::text,"
            " %(table)s::text), 'SELECT, INSERT, UPDATE')",
            {"role": role, "schema": schema, "table": table},
        )
        if allowed
    ]

    assert (len(tables) > 5, open_ones) == (True, [])
