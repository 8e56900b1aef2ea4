"""What is enqueued when: one row a schedule. Times are UTC.

`cron` has five fields (minute, hour, day, month, weekday by name) or reads "every 30 s"; an
operator may put other times in its place, which stay through deployments. `missed` says what
becomes of ticks that came while no scheduler looked (skip, once, all), if they are not older than
`catch_up_s`. The jobs of one schedule are spread over `jitter_s`. With a `unique_key` the kind has
one unfinished job at most, so that slow work does not pile up.
"""

from dataclasses import dataclass

from schedules.times import Missed, Policy
from workers.jobs import (
    AggregateDailyStats,
    AnnounceLeads,
    CheckUsageLimits,
    CloseBillingPeriod,
    CloseIdleConversations,
    ExpireApiKeys,
    Payload,
    ProbeWebhooks,
    Prune,
    ReconcileDailyStats,
    RemindFollowUps,
    RemindTrials,
    ResetMonthlyUsage,
    ScheduleResyncs,
    SendWeeklyDigests,
    SummarizeUsage,
    WatchHealth,
)


@dataclass(frozen=True, slots=True)
class Schedule:
    name: str
    payload: Payload
    cron: str
    unique_key: str | None = None
    jitter_s: float = 0.0
    missed: Missed = "skip"
    catch_up_s: int = 0

    @property
    def policy(self) -> Policy:
        return Policy(self.missed, self.catch_up_s)


HOUR_S = 3_600

# What looks every few minutes at what is due finds all of it the next time: nothing is made up.
# What comes once an hour or a day is made up once, while it is still worth it. Nothing here needs
# each missed tick: every kind works from what it finds in the tables, not from the time it was
# enqueued for. One that did would say `all`, and have no unique_key.
TIMETABLE = (
    # Away from the full hour, when everybody else's work begins.
    Schedule(
        "prune", Prune(), cron="7 * * * *", unique_key="prune", missed="once", catch_up_s=HOUR_S
    ),
    # A few seconds apart, for several begin with the minute.
    Schedule(
        "announce_leads", AnnounceLeads(), "* * * * *", unique_key="announce_leads", jitter_s=5
    ),
    # The dispatcher enqueues it as marks come, under the same key: this is for marks it lost. One
    # that waited for its jitter would hold those up.
    Schedule("aggregate_daily_stats", AggregateDailyStats(), "* * * * *", unique_key="marks"),
    # It reads everything, so not in the middle of a working day: the next night is near by then.
    Schedule(
        "reconcile_daily_stats",
        ReconcileDailyStats(),
        "17 3 * * *",
        unique_key="reconcile_daily_stats",
        jitter_s=300,
        missed="once",
        catch_up_s=6 * HOUR_S,
    ),
    # Each source's own time is spread already, by a share of its interval.
    Schedule(
        "schedule_resyncs",
        ScheduleResyncs(),
        "* * * * *",
        unique_key="schedule_resyncs",
        jitter_s=5,
    ),
    # Soon after midnight (UTC), when periods end; nobody has to wait for it to count.
    Schedule(
        "reset_monthly_usage",
        ResetMonthlyUsage(),
        "3 * * * *",
        unique_key="reset_monthly_usage",
        missed="once",
        catch_up_s=HOUR_S,
    ),
    Schedule(
        "check_usage_limits", CheckUsageLimits(), "8-59/10 * * * *", unique_key="check_usage_limits"
    ),
    Schedule(
        "reconcile_usage",
        SummarizeUsage(everybody=True),
        "41 2 * * *",
        unique_key="everybody",
        jitter_s=300,
        missed="once",
        catch_up_s=6 * HOUR_S,
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
        missed="once",
        catch_up_s=HOUR_S,
    ),
    Schedule("remind_follow_ups", RemindFollowUps(), "*/5 * * * *", unique_key="remind_follow_ups"),
    Schedule(
        "remind_trials",
        RemindTrials(),
        "17 * * * *",
        unique_key="remind_trials",
        missed="once",
        catch_up_s=HOUR_S,
    ),
    # Eight o'clock comes to all users of a zone at once: their mails begin at another minute each
    # hour. Whose Monday morning fell into a gap gets the digest late, not never.
    Schedule(
        "send_weekly_digests",
        SendWeeklyDigests(),
        "2 * * * *",
        unique_key="send_weekly_digests",
        jitter_s=600,
        missed="once",
        catch_up_s=HOUR_S,
    ),
    Schedule("expire_api_keys", ExpireApiKeys(), "6-59/10 * * * *", unique_key="expire_api_keys"),
    # The watchdog is alarmed when none arrives for three minutes.
    Schedule("probe_webhooks", ProbeWebhooks(), "1-59/5 * * * *", unique_key="probe_webhooks"),
    Schedule("watch_health", WatchHealth(), "* * * * *", unique_key="watch_health"),
)
