"""Everything the database documentation promises, looked up in the catalogue."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from db.embedded import Services
from db.migrate import MIGRATIONS, read_folder
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.integration.schema_world import OWNER, build, columns, insert, row_id

FIELDS = {
    "user_profiles": """id email full_name company_name avatar_url phone subscription_tier
        subscription_status monthly_message_limit monthly_messages_used usage_period_start
        billing_anchor_day""",
    "agents": """id user_id name description avatar_url ai_model temperature max_tokens
        system_prompt welcome_message tone enable_sentiment_analysis enable_lead_capture
        primary_color widget_position widget_size is_published public_url embed_code
        total_conversations total_messages total_leads embedding_model""",
    "conversations": """id agent_id visitor_id visitor_name visitor_email visitor_phone visitor_ip
        visitor_location visitor_metadata source status sentiment_score sentiment_label is_lead
        lead_captured_at message_count duration_seconds""",
    "messages": """id conversation_id role content model tokens_used response_time_ms
        sentiment_score sentiment_label was_corrected correction_id feedback_rating""",
    "leads": """id agent_id conversation_id name email phone company custom_fields status score
        interest_level utm_source utm_medium utm_campaign assigned_to next_follow_up_at notes
        tags""",
    "knowledge_sources": """id agent_id name type content file_url file_name file_size file_type
        status chunks_count tokens_count auto_sync sync_frequency last_synced_at url settings
        error_message progress""",
    "knowledge_chunks": """id source_id agent_id content tokens embedding chunk_index metadata
        embedding_model content_hash""",
    "corrections": """id agent_id message_id conversation_id original_response corrected_response
        reason correction_type status was_helpful feedback_notes""",
    "training_examples": """id agent_id input expected_output category tags source quality_score
        times_used success_rate is_active""",
    "analytics_events": """id agent_id event_type event_data visitor_id session_id conversation_id
        ip_address user_agent device_type browser os country city""",
    "daily_stats": """id agent_id date total_conversations active_conversations
        avg_conversation_duration total_messages user_messages assistant_messages
        avg_response_time_ms total_leads conversion_rate positive_sentiment_count
        neutral_sentiment_count negative_sentiment_count widget_opens unique_visitors
        returning_visitors total_tokens_used total_ai_cost""",
    "sentiment_analysis": """id conversation_id message_id agent_id overall_score label confidence
        emotions topics keywords judge""",
    "usage_logs": """id user_id agent_id usage_type ai_model prompt_tokens completion_tokens
        total_tokens unit_cost total_cost""",
    "monthly_usage_summary": """id user_id year month total_messages total_conversations
        total_agents total_tokens total_ai_requests total_ai_cost message_limit
        messages_remaining overage_messages""",
    "billing_transactions": """id user_id type status amount currency tax_amount total_amount
        payment_method payment_provider provider_transaction_id invoice_number invoice_url""",
    "subscription_history": """id user_id tier status monthly_price annual_price billing_cycle
        started_at ended_at trial_ends_at cancelled_at cancellation_reason""",
    "api_keys": """id user_id agent_id name key_hash key_prefix scopes rate_limit_per_minute
        rate_limit_per_day is_active total_requests last_used_at expires_at""",
    "webhooks": """id user_id agent_id name url secret events is_active retry_failed max_retries
        custom_headers total_deliveries successful_deliveries failed_deliveries""",
    "webhook_deliveries": """id webhook_id event_type event_data status http_status response_body
        error_message attempt_count next_retry_at delivered_at duration_ms""",
    "notifications": """id user_id type title message priority is_read read_at action_url
        action_label""",
    "activity_logs": """id user_id action resource_type resource_id description changes ip_address
        user_agent""",
    "email_logs": """id user_id to_email from_email subject email_type template_id template_data
        status provider provider_message_id sent_at delivered_at opened_at clicked_at
        error_message""",
}
ARGUMENTS = {
    "get_agent_analytics": "agent_id start_date end_date",
    "get_current_usage": "user_id",
    "get_conversation_with_messages": "conversation_id",
    "search_conversations": "agent_id search_term status start_date end_date limit offset",
    "match_knowledge_chunks": "query_embedding agent_id match_threshold match_count",
    "create_notification": "user_id type title message agent_id priority",
    "log_activity": "user_id action resource_type resource_id description changes",
    "log_usage": "user_id agent_id usage_type tokens cost",
    "increment_message_usage": "user_id",
    "reset_monthly_usage": "",
    "analyze_sentiment": "text",
}
RESULTS = {
    "get_agent_analytics": """total_conversations total_messages total_leads avg_sentiment
        positive_count neutral_count negative_count avg_response_time conversion_rate""",
    "get_current_usage": """messages_used messages_limit messages_remaining conversations_count
        agents_count leads_count storage_used_mb""",
    "match_knowledge_chunks": "id source_id content metadata similarity",
}
VIEWS = {
    "agent_dashboard_summary": """active_conversations_count new_leads_last_7_days
        knowledge_sources_count pending_corrections_count""",
    "recent_activity": "activity_type resource_id agent_id title created_at",
}
MIGRATION_NAMES = """create_user_profiles_table create_agents_table
    create_conversations_and_messages_tables create_leads_table enable_pgvector_extension
    create_knowledge_base_tables create_corrections_and_training_tables create_analytics_tables
    create_usage_and_billing_tables create_api_keys_and_webhooks_tables
    create_notifications_and_activity_logs create_helper_functions_and_views"""
ALLOWED = {
    ("user_profiles", "subscription_tier"): "free starter professional enterprise",
    ("user_profiles", "subscription_status"): "active cancelled past_due trialing",
    ("agents", "tone"): "professional friendly casual formal empathetic",
    ("conversations", "source"): "website widget api mobile",
    ("conversations", "status"): "active resolved archived",
    ("conversations", "sentiment_label"): "positive neutral negative",
    ("messages", "role"): "user assistant system",
    ("messages", "sentiment_label"): "positive neutral negative",
    ("leads", "status"): "new contacted qualified converted lost",
    ("knowledge_sources", "type"): "file url text api notion google_drive",
    ("knowledge_sources", "status"): "pending processing completed failed",
    ("corrections", "status"): "pending approved rejected applied",
    ("training_examples", "source"): "manual correction conversation import",
    ("sentiment_analysis", "label"): "positive neutral negative",
    ("usage_logs", "usage_type"): """message conversation knowledge_chunk embedding api_call
        export""",
    ("billing_transactions", "type"): "subscription overage one_time refund credit",
    ("subscription_history", "tier"): "free starter professional enterprise",
    ("subscription_history", "status"): "active cancelled past_due trialing",
    ("webhook_deliveries", "status"): "pending delivered retrying failed blocked cancelled",
    ("notifications", "priority"): "low normal high urgent",
    ("email_logs", "status"): "queued sending sent failed uncertain delivered opened clicked",
}
# A second row must differ where a table allows only one.
SECOND_ROW: dict[str, dict[str, Any]] = {
    "api_keys": {"key_hash": "f" * 64},
    "sentiment_analysis": {"message_id": row_id("messages")},
}
TRIGGERS_MIN = 8
POLICIES_MIN = 50
ARGUMENTS_OF = """
SELECT array_agg(arg.name ORDER BY arg.place) FROM pg_proc AS p,
    unnest(p.proargnames, p.proargmodes::text[]) WITH ORDINALITY AS arg (name, mode, place)
WHERE p.pronamespace = 'public'::regnamespace AND p.proname = %s
  AND coalesce(arg.mode, 'i') = %s
"""


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


def columns_of(conn: Connection, relation: str) -> set[str]:
    return {
        row[0]
        for row in conn.execute(
            "SELECT attname::text FROM pg_attribute"
            " WHERE attrelid = to_regclass('public.' || %s) AND attnum > 0 AND NOT attisdropped",
            [relation],
        )
    }


def names(conn: Connection, function: str, mode: str) -> list[str]:
    row = conn.execute(ARGUMENTS_OF.encode(), [function, mode]).fetchone()
    return (row and row[0]) or []


def test_every_table_has_every_field(conn: Connection) -> None:
    missing = {
        table: lacking
        for table, fields in FIELDS.items()
        if (lacking := set(fields.split()) - columns_of(conn, table))
    }

    assert (len(FIELDS), missing) == (22, {})


@pytest.mark.parametrize("function", ARGUMENTS)
def test_a_function_has_its_documented_parameters(conn: Connection, function: str) -> None:
    found = names(conn, function, "i")

    exists = conn.execute("SELECT to_regproc('public.' || %s) IS NOT NULL", [function]).fetchone()
    assert (exists, found) == ((True,), ARGUMENTS[function].split())


@pytest.mark.parametrize("function", RESULTS)
def test_a_function_returns_its_documented_columns(conn: Connection, function: str) -> None:
    found = names(conn, function, "t")

    assert found == RESULTS[function].split()


def test_both_views_have_their_columns(conn: Connection) -> None:
    missing = {
        view: lacking
        for view, fields in VIEWS.items()
        if (lacking := set(fields.split()) - columns_of(conn, view))
    }

    assert missing == {}


def test_the_twelve_migrations_come_first_under_their_names() -> None:
    found = [migration.name for migration in read_folder(MIGRATIONS)[:12]]

    assert found == MIGRATION_NAMES.split()


def test_there_are_as_many_triggers_and_policies_as_promised(conn: Connection) -> None:
    triggers = conn.execute(
        "SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid"
        " WHERE NOT t.tgisinternal AND c.relnamespace IN"
        " ('public'::regnamespace, 'auth'::regnamespace)"
    ).fetchone()
    policies = conn.execute(
        "SELECT count(*) FROM pg_policies WHERE schemaname = 'public'"
    ).fetchone()

    assert triggers is not None
    assert policies is not None
    assert (triggers[0] >= TRIGGERS_MIN, policies[0] >= POLICIES_MIN) == (True, True)


def test_pgvector_and_its_index_are_there(conn: Connection) -> None:
    index = conn.execute(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'knowledge_chunks_embedding_idx'"
    ).fetchone()
    column = conn.execute(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'public.knowledge_chunks'::regclass AND attname = 'embedding'"
    ).fetchone()

    assert index is not None
    assert "USING hnsw (embedding extensions.vector_cosine_ops)" in index[0]
    assert column == ("extensions.vector(1536)",)


@pytest.mark.parametrize(("table", "column"), ALLOWED)
def test_named_values_are_accepted_and_no_other(conn: Connection, table: str, column: str) -> None:
    refused = []

    for value in [*ALLOWED[table, column].split(), "something_else"]:
        try:
            with conn.transaction(force_rollback=True):
                if table == "user_profiles":
                    conn.execute(
                        f"UPDATE public.user_profiles SET {column} = %s WHERE id = %s".encode(),
                        [value, OWNER],
                    )
                else:
                    second = SECOND_ROW.get(table, {})
                    insert(conn, table, {**columns(table, OWNER), **second, column: value})
        except psycopg.errors.CheckViolation as error:
            refused.append((value, error.diag.constraint_name))

    assert refused == [("something_else", f"{table}_{column}_check")]


def test_money_keeps_what_a_single_token_costs(conn: Connection) -> None:
    costs = conn.execute(
        "SELECT table_name || '.' || column_name, numeric_scale FROM information_schema.columns"
        " WHERE table_schema = 'public' AND (column_name LIKE '%cost%')"
        " AND table_name IN (SELECT tablename FROM pg_tables)"
    ).fetchall()

    coarse = [name for name, scale in costs if scale is None or scale < 6]
    assert (len(costs) >= 4, coarse) == (True, [])


def test_every_moment_has_a_time_zone(conn: Connection) -> None:
    naive = conn.execute(
        "SELECT count(*) FROM information_schema.columns WHERE table_schema IN"
        " ('public', 'worker', 'private') AND data_type = 'timestamp without time zone'"
    ).fetchone()

    assert naive == (0,)
