"""The table of kinds, and payloads on their way to JSON and back."""

from pathlib import Path
from uuid import UUID

import pytest

from workers import actors, jobs
from workers.jobs import (
    KINDS,
    QUEUES,
    AggregateDailyStats,
    AnalyzeSentiment,
    AnnounceLeads,
    ChangeModel,
    CheckUsageLimits,
    CloseBillingPeriod,
    CloseIdleConversations,
    CrawlSite,
    DeliverWebhook,
    EmbedAgain,
    EraseVisitor,
    ExpireApiKeys,
    IndexSource,
    Probe,
    ProbeWebhooks,
    Prune,
    ReconcileDailyStats,
    ReindexAgent,
    RemindFollowUps,
    RemindTrials,
    ReportCrawl,
    ReportReindex,
    ResetMonthlyUsage,
    ResyncSource,
    ScheduleResyncs,
    SendEmail,
    SendWeeklyDigests,
    SummarizeUsage,
    SwitchModel,
    WatchHealth,
)
from workers.payloads import args_schema, decode, encode

ROOT = Path(jobs.__file__).parent.parent
SOURCE_ID = UUID("8c3f6a52-6f0e-4f0d-9f3e-0d6a1f1f9a11")


def test_every_kind_is_named_after_its_payload() -> None:
    assert {name: kind.payload for name, kind in KINDS.items()} == {
        "crawl_site": CrawlSite,
        "index_source": IndexSource,
        "probe": Probe,
        "prune": Prune,
        "reindex_agent": ReindexAgent,
        "report_crawl": ReportCrawl,
        "report_reindex": ReportReindex,
        "resync_source": ResyncSource,
        "schedule_resyncs": ScheduleResyncs,
        "send_email": SendEmail,
        "aggregate_daily_stats": AggregateDailyStats,
        "reconcile_daily_stats": ReconcileDailyStats,
        "analyze_sentiment": AnalyzeSentiment,
        "announce_leads": AnnounceLeads,
        "change_model": ChangeModel,
        "close_billing_period": CloseBillingPeriod,
        "deliver_webhook": DeliverWebhook,
        "embed_again": EmbedAgain,
        "switch_model": SwitchModel,
        "summarize_usage": SummarizeUsage,
        "reset_monthly_usage": ResetMonthlyUsage,
        "check_usage_limits": CheckUsageLimits,
        "erase_visitor": EraseVisitor,
        "close_idle_conversations": CloseIdleConversations,
        "remind_follow_ups": RemindFollowUps,
        "remind_trials": RemindTrials,
        "send_weekly_digests": SendWeeklyDigests,
        "expire_api_keys": ExpireApiKeys,
        "probe_webhooks": ProbeWebhooks,
        "watch_health": WatchHealth,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_files(kind: str) -> None:
    """A new kind touches these files; the message names the missing one."""
    wanted = [
        f"workers/actors/{kind}.py",
        f"pipelines/{kind}.py",
        f"tests/unit/test_{kind}.py",
    ]

    missing = [path for path in wanted if not (ROOT / path).is_file()]

    assert missing == []


def test_every_kind_has_a_doorway() -> None:
    actors.load_doorways()

    assert actors.DOORWAYS.keys() == KINDS.keys()


def test_every_kind_runs_in_a_queue_that_exists() -> None:
    assert {kind.queue for kind in KINDS.values()} <= QUEUES.keys()


@pytest.mark.parametrize(
    "payload", [IndexSource(SOURCE_ID), Probe(sleep_ms=5, crash=False), Prune()]
)
def test_a_payload_survives_the_way_through_json(payload: jobs.Payload) -> None:
    assert decode(type(payload), encode(payload)) == payload


def test_optional_arguments_are_marked_in_the_schema() -> None:
    assert args_schema(KINDS["index_source"].payload) == {"source_id": "uuid"}
    assert args_schema(KINDS["probe"].payload)["sleep_ms"] == "int?"


def test_a_wrong_argument_cannot_be_decoded() -> None:
    with pytest.raises(TypeError):
        decode(KINDS["probe"].payload, {"slep_ms": 1})
