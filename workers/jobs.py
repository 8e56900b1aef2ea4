"""START HERE: every kind of job, what it carries, where it runs and how often it is tried.

The same table stands in SQL (`worker.kinds`), for callers that insert rows; a test compares.
Imports are light: the web tier imports this module to enqueue.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from uuid import UUID

from db import jobs
from db.lanes import Limit
from db.pool import Connection
from workers import tracing
from workers.copying import Due, copied_rows
from workers.outcome import Plan, RetryPlan
from workers.payloads import check, encode, has_ids, kind_name


@dataclass(frozen=True, slots=True)
class ChangeModel:
    """Embed an agent's chunks with another model, as one batch; the old ones serve meanwhile."""

    agent_id: UUID
    model: str


@dataclass(frozen=True, slots=True)
class EmbedAgain:
    """Its members: give each chunk of a source a twin of that model."""

    source_id: UUID
    model: str


@dataclass(frozen=True, slots=True)
class IndexSource:
    """Read a knowledge source, split it, embed what changed, store it."""

    source_id: UUID


@dataclass(frozen=True, slots=True)
class Probe:
    """Do nothing useful, in a measurable way: health checks, benchmarks, chaos."""

    sleep_ms: int | None = None
    cpu_ms: int | None = None
    fail_times: int | None = None
    effect: str | None = None
    crash: bool | None = None


@dataclass(frozen=True, slots=True)
class Prune:
    """Delete what is old: finished jobs, caches, ticks, analytics events, logs, ended mails."""


@dataclass(frozen=True, slots=True)
class ReindexAgent:
    """Index every source of an agent again, as one batch."""

    agent_id: UUID


@dataclass(frozen=True, slots=True)
class ReportReindex:
    """The callback of that batch: tell the agent's owner how it went."""

    agent_id: UUID


@dataclass(frozen=True, slots=True)
class ResyncSource:
    """Ask whether a source changed, and index it if it did."""

    source_id: UUID


@dataclass(frozen=True, slots=True)
class ScheduleResyncs:
    """Enqueue the sources that are due to be refreshed."""


@dataclass(frozen=True, slots=True)
class CrawlSite:
    """Find the pages of a site and make each a source."""

    source_id: UUID


@dataclass(frozen=True, slots=True)
class ReportCrawl:
    """The callback of a crawl: say on its source how it went."""

    source_id: UUID


@dataclass(frozen=True, slots=True)
class DeliverWebhook:
    """Send a row of webhook_deliveries to its webhook, once."""

    delivery_id: UUID
    webhook_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class AnnounceLeads:
    """Mail owners of the leads that came soon after a mail about others."""


@dataclass(frozen=True, slots=True)
class CloseBillingPeriod:
    """Freeze what periods that are over cost: a user's, or everybody's that are due."""

    user_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class AggregateDailyStats:
    """Compute the days anew that writes marked."""


@dataclass(frozen=True, slots=True)
class ReconcileDailyStats:
    """Recount every day, and say which stored figures were wrong."""


@dataclass(frozen=True, slots=True)
class AnalyzeSentiment:
    """Score what visitors wrote to an agent lately, and their conversations."""

    agent_id: UUID


@dataclass(frozen=True, slots=True)
class SendEmail:
    """Render the mail of a row of email_logs, and send it once."""

    email_id: UUID


@dataclass(frozen=True, slots=True)
class EraseVisitor:
    """Delete what is known of a visitor, as somebody asked for."""

    request_id: UUID


@dataclass(frozen=True, slots=True)
class SwitchModel:
    """The callback of that batch: once no twin is missing, questions go to the new model."""

    agent_id: UUID
    model: str


@dataclass(frozen=True, slots=True)
class CloseIdleConversations:
    """Resolve conversations that nobody has written to for a day."""


@dataclass(frozen=True, slots=True)
class RemindFollowUps:
    """Tell whoever planned to get back to a lead that it is time."""


@dataclass(frozen=True, slots=True)
class RemindTrials:
    """Tell users whose trial ends soon."""


@dataclass(frozen=True, slots=True)
class SendWeeklyDigests:
    """Mail each user the figures of the week before, on Monday morning."""


@dataclass(frozen=True, slots=True)
class ExpireApiKeys:
    """Switch off API keys whose time is over."""


@dataclass(frozen=True, slots=True)
class SummarizeUsage:
    """Recompute the months whose usage logs changed; with `everybody`, look at all users' too."""

    everybody: bool | None = None


@dataclass(frozen=True, slots=True)
class ResetMonthlyUsage:
    """Begin the usage period of everybody whose last one is over."""


@dataclass(frozen=True, slots=True)
class CheckUsageLimits:
    """Tell whoever is near a limit and was not told."""


@dataclass(frozen=True, slots=True)
class ProbeWebhooks:
    """Try webhooks that were disabled because they failed; activate those that answer."""


@dataclass(frozen=True, slots=True)
class WatchHealth:
    """Take the whole path of jobs, so that the watchdog sees whether they flow."""


Payload = (
    IndexSource
    | Probe
    | Prune
    | ReindexAgent
    | ReportReindex
    | ResyncSource
    | ScheduleResyncs
    | CrawlSite
    | ReportCrawl
    | ChangeModel
    | EmbedAgain
    | SendEmail
    | DeliverWebhook
    | AnnounceLeads
    | CloseBillingPeriod
    | EraseVisitor
    | SwitchModel
    | CloseIdleConversations
    | SummarizeUsage
    | ResetMonthlyUsage
    | CheckUsageLimits
    | AggregateDailyStats
    | ReconcileDailyStats
    | AnalyzeSentiment
    | RemindFollowUps
    | RemindTrials
    | SendWeeklyDigests
    | ExpireApiKeys
    | ProbeWebhooks
    | WatchHealth
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table below. `time_limit_s` is for one attempt.

    `limit` holds for each value of the argument `limit_by`, or for the kind as a whole.
    """

    payload: type[Payload]
    queue: str
    retry: Plan
    time_limit_s: int
    unique_by: str | None = None
    rerun: bool = False
    limit_by: str | None = None
    limit: Limit | None = None

    @property
    def name(self) -> str:
        return kind_name(self.payload)

    @property
    def max_attempts(self) -> int:
        return self.retry.max_attempts


BULK_JOBS = 1000
# For work that a customer did not just ask for: theirs comes first.
BULK_PRIORITY = 10
SINGLE = Limit(cap=1, rate_per_s=None, burst=1)

# fmt: off
KINDS = {kind.name: kind for kind in (
    Kind(IndexSource, "knowledge", RetryPlan(3, first_s=5, factor=3), time_limit_s=1800,
         unique_by="source_id", rerun=True),
    Kind(Probe, "default", RetryPlan(10, first_s=1, factor=1, jitter=0), time_limit_s=600),
    Kind(Prune, "default", RetryPlan(3, first_s=60), time_limit_s=600, limit=SINGLE),
    Kind(ReindexAgent, "default", RetryPlan(5, first_s=5), time_limit_s=300, unique_by="agent_id"),
    Kind(ReportReindex, "default", RetryPlan(5, first_s=5), time_limit_s=60),
    Kind(ResyncSource, "knowledge", RetryPlan(3, first_s=5, factor=3), time_limit_s=1800,
         unique_by="source_id"),
    Kind(ScheduleResyncs, "default", RetryPlan(3, first_s=5), time_limit_s=300, limit=SINGLE),
    Kind(CrawlSite, "knowledge", RetryPlan(3, first_s=5, factor=3), time_limit_s=300,
         unique_by="source_id", rerun=True),
    Kind(ReportCrawl, "default", RetryPlan(5, first_s=5), time_limit_s=60),
    Kind(ChangeModel, "default", RetryPlan(5, first_s=5), time_limit_s=600, unique_by="agent_id"),
    Kind(EmbedAgain, "knowledge", RetryPlan(5, first_s=5, factor=3), time_limit_s=1800,
         unique_by="source_id"),
    Kind(SendEmail, "email", RetryPlan(5, first_s=10, factor=4), time_limit_s=600,
         unique_by="email_id", rerun=True),
    # Its attempts are for crashes and bugs: the plan of a delivery is its own.
    Kind(DeliverWebhook, "webhooks", RetryPlan(5, first_s=5), time_limit_s=300,
         unique_by="delivery_id", rerun=True, limit_by="webhook_id",
         limit=Limit(cap=16, rate_per_s=None, burst=1)),
    Kind(AggregateDailyStats, "default", RetryPlan(5, first_s=2), time_limit_s=600),
    Kind(ReconcileDailyStats, "default", RetryPlan(3, first_s=60), time_limit_s=7200, limit=SINGLE),
    # Its last try is the local judge's, half a minute after a provider fell silent.
    Kind(AnalyzeSentiment, "sentiment", RetryPlan(4, first_s=2, factor=3), time_limit_s=600,
         unique_by="agent_id"),
    Kind(AnnounceLeads, "default", RetryPlan(3, first_s=5), time_limit_s=60, limit=SINGLE),
    Kind(CloseBillingPeriod, "default", RetryPlan(3, first_s=60), time_limit_s=600, limit=SINGLE),
    Kind(EraseVisitor, "default", RetryPlan(5, first_s=10), time_limit_s=1800,
         unique_by="request_id", rerun=True),
    Kind(SwitchModel, "default", RetryPlan(5, first_s=5), time_limit_s=1800),
    # Two at once agree, so that marks need not wait for the nightly look at everybody.
    Kind(SummarizeUsage, "default", RetryPlan(5, first_s=5), time_limit_s=1800),
    Kind(ResetMonthlyUsage, "default", RetryPlan(3, first_s=60), time_limit_s=600, limit=SINGLE),
    Kind(CheckUsageLimits, "default", RetryPlan(3, first_s=60), time_limit_s=600, limit=SINGLE),
    Kind(CloseIdleConversations, "default", RetryPlan(3, first_s=60), time_limit_s=600,
         limit=SINGLE),
    Kind(RemindFollowUps, "default", RetryPlan(3, first_s=60), time_limit_s=600, limit=SINGLE),
    Kind(RemindTrials, "default", RetryPlan(3, first_s=60), time_limit_s=600, limit=SINGLE),
    Kind(SendWeeklyDigests, "default", RetryPlan(3, first_s=60), time_limit_s=600, limit=SINGLE),
    Kind(ExpireApiKeys, "default", RetryPlan(3, first_s=60), time_limit_s=600, limit=SINGLE),
    Kind(ProbeWebhooks, "default", RetryPlan(3, first_s=60), time_limit_s=300, limit=SINGLE),
    Kind(WatchHealth, "default", RetryPlan(3, first_s=1), time_limit_s=30),
)}

# Threads of one worker process per queue: a slow queue cannot take another one's.
QUEUES = {"knowledge": 5, "default": 8, "email": 4, "sentiment": 4, "webhooks": 1024}
# fmt: on
# Jobs of these take seconds: no tenant gets all the threads at once.
LONG_QUEUES = frozenset({"knowledge", "sentiment", "webhooks"})
# Jobs of these only wait for others: all of a process run on its one event loop, as coroutines,
# and what is counted above are no threads but how many at a time.
LOOP_QUEUES = frozenset({"webhooks"})
BY_PAYLOAD = {kind.payload: kind for kind in KINDS.values()}


def enqueue(
    conn: Connection,
    payload: Payload,
    *,
    tenant: UUID | None = None,
    unique_key: str | None = None,
    run_at: datetime | None = None,
    priority: int = 0,
    on_conflict: str = "keep",
) -> int:
    """Insert a job inside the caller's transaction; its id.

    A lower `priority` runs first. An unfinished job of the same kind and `unique_key` is kept
    (its id is returned) or, with `on_conflict="replace"`, takes the new arguments and `run_at`.
    """
    kind = kind_of(payload).name
    with tracing.enqueuing(conn, kind):
        return jobs.enqueue(
            conn,
            kind,
            encode(payload),
            tenant=tenant,
            unique_key=unique_key,
            run_at=run_at,
            priority=priority,
            on_conflict=on_conflict,
        )


def enqueue_many(
    conn: Connection,
    payloads: Iterable[Payload],
    *,
    tenant: UUID | None = None,
    run_at: datetime | None = None,
    priority: int = 0,
) -> int:
    """Insert many jobs inside the caller's transaction; how many payloads there were.

    By COPY where rows need nothing of the database; kinds with a unique key, or a tenant that
    their arguments name, in calls of BULK_JOBS. Raises TypeError for a payload of wrong types.
    """
    count = 0
    for kind, group in groupby(payloads, key=kind_of):
        with tracing.enqueuing(conn, kind.name):
            if kind.unique_by is not None or (tenant is None and has_ids(kind.payload)):
                args = [encode(check(payload)) for payload in group]
                for start in range(0, len(args), BULK_JOBS):
                    jobs.enqueue_many(
                        conn,
                        kind.name,
                        args[start : start + BULK_JOBS],
                        tenant=tenant,
                        run_at=run_at,
                        priority=priority,
                    )
                count += len(args)
            else:
                due = Due(run_at or jobs.read_clock(conn), is_later=run_at is not None)
                count += jobs.copy_jobs(conn, copied_rows(kind, group, tenant, due, priority))
    return count


def kind_of(payload: Payload) -> Kind:
    return BY_PAYLOAD[type(payload)]
