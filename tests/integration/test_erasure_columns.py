"""Every column in which words can stand is thought of when a visitor is erased.

A new column fails here until it is in one of the three lists.
"""

import pytest

from db.pool import Connection
from tests.integration.test_erase_visitor import NEEDLES, ask, erase
from tests.integration.visitor_world import (
    AGENT,
    VISITOR,
    build_owners,
    columns,
    find,
    ids_of,
    leave_traces,
)

# What an erasure deletes or empties. The world of these tests has a trace in each.
HANDLED = {
    "public.conversations": """visitor_id visitor_name visitor_email visitor_phone visitor_ip
        visitor_location visitor_metadata""",
    "public.messages": "content",
    "public.leads": """name email phone company custom_fields interest_level utm_source utm_medium
        utm_campaign notes tags""",
    "public.sentiment_analysis": "topics keywords",
    "public.corrections": "original_response corrected_response reason feedback_notes",
    "public.training_examples": "input expected_output category tags",
    "public.analytics_events": """event_data visitor_id session_id ip_address user_agent country
        city""",
    "public.notifications": "title message action_url",
    "public.activity_logs": "description changes ip_address user_agent",
    "public.webhook_deliveries": "event_data response_body error_message",
    "public.email_logs": "to_email subject template_data error_message provider_message_id",
    "public.usage_logs": "metadata",
    "worker.delivery_attempts": "error_message response_excerpt",
    "worker.delivery_bodies": "body",
    "worker.email_events": """provider_event_id provider_message_id details address_hash""",
    "worker.email_sendings": "message_id request",
    "worker.job_logs": "message",
    "worker.jobs": "args errors progress result waited unique_key",
    "worker.stats_marks": "visitor_id",
    "worker.suppressions": "address note",
}
# What the owner wrote, or had read. It is searched as every table is; what tells of the visitor
# there is reported, and is the owner's to change.
REPORTED = {
    "public.agents": "name description system_prompt welcome_message",
    "public.api_keys": "name",
    "public.billing_transactions": "description",
    "public.knowledge_chunks": "content metadata",
    "public.knowledge_sources": """name content url file_url file_name settings error_message
        progress""",
    "public.user_profiles": "email full_name company_name phone",
    "public.subscription_history": "cancellation_reason",
    "public.webhooks": "name url custom_headers",
    "worker.crawl_pages": "url address text_hash links seen offered_at lastmod reason pattern",
    "worker.crawls": "asked stage site limits_hit",
    "worker.chunk_spans": "context",
    "worker.fetched_pages": "url content_type seen body",
    "worker.source_states": "asked seen sizes",
    "worker.sync_runs": "kind status error_message report",
}
# Words of a fixed list, names that we give, hashes, secrets, figures.
FREE = {
    "public.activity_logs": "action resource_type",
    "public.agents": """avatar_url ai_model tone embedding_model primary_color widget_position
        widget_size public_url embed_code""",
    "public.analytics_events": "event_type device_type browser os",
    "public.api_keys": "key_hash key_prefix scopes",
    "public.billing_transactions": """type status currency payment_method payment_provider
        provider_transaction_id invoice_number invoice_url""",
    "public.conversations": "source status sentiment_label",
    "public.corrections": "correction_type status",
    "public.email_logs": "from_email email_type template_id status provider",
    "public.knowledge_chunks": "embedding_model content_hash",
    "public.knowledge_sources": "type file_type status sync_frequency",
    "public.leads": "status",
    "public.messages": "role model sentiment_label",
    "public.notifications": "type priority action_label",
    "public.sentiment_analysis": "label emotions judge",
    "public.subscription_history": "tier status billing_cycle",
    "public.training_examples": "source",
    "public.usage_logs": "usage_type ai_model",
    "public.user_profiles": "avatar_url time_zone subscription_tier subscription_status",
    "public.webhook_deliveries": "event_type status",
    "public.webhooks": "secret events",
    # Figures and names of processes, kinds and providers; never what a job carries.
    "worker.alert_notices": "event way error_message",
    "worker.alert_signs": "key",
    "worker.alerts": "key level title evidence advice runbook",
    # What operators wrote of their own work; it never holds arguments or contents.
    "worker.audit_log": "operator role action target why details",
    "worker.billing_periods": "tier closing idempotency_key error_message",
    "worker.billing_terms": "currency",
    "worker.buckets": "lane",
    "worker.chunk_terms": "embedding_model language",
    "worker.crawl_pages": "role state",
    "worker.email_events": "provider type",
    "worker.email_sendings": "provider",
    "worker.departures": "role host queues cause",
    "worker.embedding_cache": "model text_hash",
    "worker.endpoints": "disabled_reason",
    "worker.health_samples": "provider_calls",
    "worker.host_turns": "host",
    "worker.hosts": "host",
    "worker.job_logs": "level logger",
    "worker.jobs": "kind queue state limit_key lane traceparent error_group",
    "worker.kinds": "kind queue args unique_by limit_by",
    "worker.login_failures": "name address",
    "worker.lane_holds": "lane reason",
    "worker.metrics": "name labels",
    "worker.minutes": "name labels",
    "worker.model_changes": "model",
    "worker.model_prices": "model",
    "worker.operator_devices": "token_hash",
    "worker.operator_sessions": "token_hash user_agent address",
    "worker.operators": "name origin role password_hash subject",
    "worker.overage_prices": "tier currency",
    "worker.pauses": "scope name reason paused_by",
    "worker.plan_changes": "tier",
    "worker.probe_effects": "effect",
    "worker.processes": "role host queues overdue cause stats",
    "worker.retired_secrets": "secret",
    "worker.robots": "origin answer body",
    "worker.schedule_ticks": "schedule",
    "worker.schedules": "name kind args unique_key cron cron_override missed",
    "worker.source_credentials": "credentials sealed",
    "worker.stats_differences": "stored expected",
    # A hash keeps the right not to be mailed.
    "worker.suppressions": "address_hash category reason",
    "worker.waits": "ended_as",
    "worker.watch": "looked_by",
}
# Rows that go with others, uncounted, and those that only have ids.
GONE_ALONG = {"worker.email_sendings", "worker.delivery_bodies", "worker.delivery_attempts"}
MARKS = {"worker.lead_marks", "worker.sentiment_marks"}
# They remember who is to be erased, and forget it at the end.
OWN = {
    "worker.erasure_requests": """identity_hash visitor_id email visitor_ids emails phones names
        state counts remains""",
    "worker.erased_rows": "place",
}


@pytest.fixture
def conn(conn: Connection) -> Connection:
    build_owners(conn)
    return conn


def listed(lists: dict[str, str]) -> set[tuple[str, str]]:
    return {(table, name) for table, names in lists.items() for name in names.split()}


def test_every_column_is_in_one_of_the_lists(conn: Connection) -> None:
    there = {(table, name) for table, names in columns(conn).items() for name in names}

    thought_of = [listed(each) for each in (HANDLED, REPORTED, FREE, OWN)]

    unthought = there - set().union(*thought_of)
    assert unthought == set(), "can it hold what a visitor wrote? Put it into a list above"
    assert set().union(*thought_of) - there == set(), "these are gone"
    assert sum(map(len, thought_of)) == len(there), "in one list only"


def test_a_trace_in_every_handled_column_goes(conn: Connection, database_url: str) -> None:
    leave_traces(conn)
    needles = NEEDLES + ids_of(conn)
    before = find(conn, needles)
    request_id = ask(conn, visitor_id=VISITOR)

    done = erase(conn, database_url, request_id)

    assert listed(HANDLED) - before == set(), "the world of this test leaves no trace there"
    assert find(conn, needles) - {("worker.suppressions", "address_hash")} == set()
    assert (done.state, done.remains) == ("done", {})
    assert set(done.counts) == set(HANDLED) - GONE_ALONG | MARKS


@pytest.mark.parametrize("visitor", ["visitor-1\\", 'say "hi" now', "a\\nother\\"])
def test_an_id_with_backslashes_and_quotes_is_found_in_json(
    conn: Connection, database_url: str, visitor: str
) -> None:
    conn.execute(
        "INSERT INTO analytics_events (agent_id, event_type, event_data)"
        " VALUES (%s, 'page_view', jsonb_build_object('visitor_id', %s::text))",
        (AGENT, visitor),
    )

    done = erase(conn, database_url, ask(conn, visitor_id=visitor))

    assert (done.state, done.counts) == ("done", {"public.analytics_events": 1})
