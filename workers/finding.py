"""What is wrong, in words: the evidence, and what to do about it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pipelines.counting import plural
from workers.spans import span

Level = Literal["stop", "hold"]
# Pages under /runbooks, one a sort of finding.
Runbook = Literal[
    "dead-processes",
    "discards",
    "dispatcher-behind",
    "jobs-do-not-flow",
    "long-transaction",
    "no-dispatcher",
    "no-scheduler",
    "no-worker",
    "paused",
    "postgres-connections",
    "postgres-down",
    "provider-failing",
    "queue-age",
    "queue-unserved",
    "redis-down",
    "redis-full",
    "schedules-late",
    "stats-differences",
    "uncertain-mails",
    "webhooks-disabled",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that keeps work from flowing. "stop": nothing runs; "hold": less than could.

    `key` names it for as long as it lasts. `runbook` is the slug of its page under /runbooks,
    `links` are (word, path of the dashboard). `cause` is the key of the finding that explains
    this one: who mends that mends both.
    """

    key: str
    level: Level
    title: str
    evidence: str
    do: str
    runbook: Runbook
    links: tuple[tuple[str, str], ...] = ()
    cause: str | None = None


def since(at: datetime, now: datetime) -> str:
    """for 41 min, since 14:01:22 UTC."""
    utc = at.astimezone(UTC)
    shape = "%H:%M:%S" if utc.date() == now.astimezone(UTC).date() else "%Y-%m-%d %H:%M:%S"
    return f"for {span(max(0.0, (now - at).total_seconds()))}, since {utc:{shape}} UTC"


def jobs_in_words(number: int, most: int) -> str:
    """The beginning of a sentence: 312 jobs; Over 1,000 jobs."""
    if number > most:
        return f"Over {most:,} jobs"
    return plural(number, "job")
