"""What is wrong, in words: the evidence, and what to do about it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

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
SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"))


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


def span(seconds: float) -> str:
    """41 s, 3 min, 2.5 h."""
    for size, unit in SPANS:
        if seconds >= size * 1.5:
            number = seconds / size
            return (
                f"{number:.0f} {unit}" if number >= 10 or unit == "min" else f"{number:.2g} {unit}"
            )
    return f"{max(0.0, seconds):.0f} s"


def since(at: datetime, now: datetime) -> str:
    """for 41 min, since 14:01:22 UTC."""
    utc = at.astimezone(UTC)
    shape = "%H:%M:%S" if utc.date() == now.astimezone(UTC).date() else "%Y-%m-%d %H:%M:%S"
    return f"for {span((now - at).total_seconds())}, since {utc:{shape}} UTC"


def jobs_in_words(number: int, most: int) -> str:
    """312 jobs; more than 1,000 jobs."""
    if number > most:
        return f"more than {most:,} jobs"
    return "1 job" if number == 1 else f"{number:,} jobs"
