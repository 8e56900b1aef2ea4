"""What is enqueued when: one row a schedule. Times are UTC.

`cron` has five fields (minute, hour, day, month, weekday by name) or reads "every 30 s"; the
jobs of one schedule are spread over `jitter_s`. With a `unique_key` the kind has one unfinished
job at most, so that slow work does not pile up.
"""

from dataclasses import dataclass

from workers.jobs import (
    AnnounceLeads,
    CheckUsageLimits,
    CloseBillingPeriod,
    CloseIdleConversations,
    ExpireApiKeys,
    Payload,
    Prune,
    ReconcileDailyStats,
    RemindFollowUps,
    RemindTrials,
    ResetMonthlyUsage,
    ScheduleResyncs,
    SendWeeklyDigests,
    SummarizeUsage,
)


@dataclass(frozen=True, slots=True)
class Schedule:
    name: str
    payload: Payload
    cron: str
    unique_key: str | None = None
    jitter_s: float = 0.0


TIMETABLE = (
    # Away from the full hour, when everybody else's work begins.
    Schedule("prune", Prune(), cron="7 * * * *", unique_key="prune"),
    Schedule("announce_leads", AnnounceLeads(), "* * * * *", unique_key="announce_leads"),
    Schedule(
        "reconcile_daily_stats",
        ReconcileDailyStats(),
        "17 3 * * *",
        unique_key="reconcile_daily_stats",
    ),
    Schedule("schedule_resyncs", ScheduleResyncs(), "* * * * *", unique_key="schedule_resyncs"),
    # Soon after midnight (UTC), when periods end; nobody has to wait for it to count.
    Schedule(
        "reset_monthly_usage", ResetMonthlyUsage(), "3 * * * *", unique_key="reset_monthly_usage"
    ),
    Schedule(
        "check_usage_limits", CheckUsageLimits(), "8-59/10 * * * *", unique_key="check_usage_limits"
    ),
    Schedule(
        "reconcile_usage", SummarizeUsage(everybody=True), "41 2 * * *", unique_key="everybody"
    ),
    Schedule(
        "close_idle_conversations",
        CloseIdleConversations(),
        "4-59/10 * * * *",
        unique_key="close_idle_conversations",
    ),
    # Minutes after midnight: rows of transactions that were open then are there by now.
    Schedule(
        "close_billing_period",
        CloseBillingPeriod(),
        "23 * * * *",
        unique_key="close_billing_period",
    ),
    Schedule("remind_follow_ups", RemindFollowUps(), "*/5 * * * *", unique_key="remind_follow_ups"),
    Schedule("remind_trials", RemindTrials(), "17 * * * *", unique_key="remind_trials"),
    Schedule(
        "send_weekly_digests", SendWeeklyDigests(), "2 * * * *", unique_key="send_weekly_digests"
    ),
    Schedule("expire_api_keys", ExpireApiKeys(), "6-59/10 * * * *", unique_key="expire_api_keys"),
)
