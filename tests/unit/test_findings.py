"""What is concluded from what was read, and that each finding has its page."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args
from urllib.parse import parse_qs, urlsplit

import pytest

from db.health import (
    Calls,
    Counted,
    Crew,
    Discards,
    LateSchedule,
    Lost,
    QueueState,
    Server,
    UnknownKind,
)
from db.lanes import Pause
from workers.dashboard import filtering
from workers.dashboard.filtering import Known
from workers.dashboard.words import duration
from workers.finding import Finding, Runbook, jobs_in_words
from workers.health import judge_memory, redis_down
from workers.health_facts import Facts
from workers.health_flow import judge_flow
from workers.health_work import judge_work
from workers.jobs import KINDS, QUEUES
from workers.spans import span
from workers.targets import TARGETS_S

RUNBOOKS = Path(__file__).parents[2] / "workers" / "dashboard" / "runbooks"
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR_AGO = NOW - timedelta(hours=1)
TENANT = "10000000-0000-4000-8000-000000000001"
BUSY = QueueState("email", 4, 4, 3, HOUR_AGO, HOUR_AGO, ["send_email"], None, None)


def facts(now: datetime = NOW, **changes: Any) -> Facts:
    """Those of a system that is well, but for `changes`."""
    well = Facts(
        now=now,
        crews={role: Crew(role, 1, now) for role in ("worker", "dispatcher", "scheduler")},
        queues=[],
        promotion_at=None,
        late=[],
        pauses=[],
        lost=[],
        discards=[],
        calls=[],
        mails=Counted(0, None),
        webhooks=Counted(0, None),
        differences=Counted(0, None),
        server=Server(10, 100, None, None, None),
        canary=None,
    )
    return replace(well, **changes)


def judge(seen: Facts, *of_redis: Finding) -> list[Finding]:
    flow = judge_flow(seen, list(of_redis))
    return [*flow, *judge_work(seen, flow)]


LOST = Lost("worker", "a", 1, 3, HOUR_AGO, 7, "signal SIGKILL")
TROUBLES: dict[str, Facts] = {
    "no-worker": facts(crews={}),
    "queue-unserved": facts(queues=[replace(BUSY, threads=0, in_flight=0)]),
    "queue-unserved of a kind": facts(unknown=[UnknownKind('old "one"', 3, HOUR_AGO)]),
    "queue-age": facts(queues=[BUSY]),
    "dispatcher-behind": facts(queues=[replace(BUSY, in_flight=0)]),
    "schedules-late": facts(late=[LateSchedule("prune", HOUR_AGO)]),
    "paused": facts(pauses=[Pause("tenant", TENANT, None, HOUR_AGO)]),
    "dead-processes": facts(lost=[LOST]),
    "discards": facts(discards=[Discards("probe", 40, 0.5)]),
    "provider-failing": facts(calls=[Calls("openai", HOUR_AGO, 1, 9, 9)]),
    "uncertain-mails": facts(mails=Counted(2, HOUR_AGO)),
    "webhooks-disabled": facts(webhooks=Counted(6, HOUR_AGO)),
    "stats-differences": facts(differences=Counted(2, HOUR_AGO)),
    "postgres-connections": facts(server=Server(90, 97, None, None, None)),
    "long-transaction": facts(server=Server(9, 97, "psql", 7, HOUR_AGO)),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_each_trouble_is_found_and_says_what_to_do(trouble: str) -> None:
    runbook = trouble.partition(" ")[0]
    found = [finding for finding in judge(TROUBLES[trouble]) if finding.runbook == runbook]

    assert found
    assert all(f.title and f.evidence.endswith(".") and f.do.endswith(".") for f in found)


def test_where_all_is_well_nothing_is_found() -> None:
    assert judge(facts()) == []


def test_every_finding_has_its_page_and_every_page_its_finding() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")}
    found = {finding.runbook for seen in TROUBLES.values() for finding in judge(seen)}
    found |= {f.runbook for f in judge_memory({"used_memory": 99, "maxmemory": 100})}
    found |= {redis_down(OSError()).runbook}
    # Told by the watchdog itself, and by the job of every minute (test_watch_health).
    found |= {"postgres-down", "jobs-do-not-flow"}

    assert pages == set(get_args(Runbook)) == found


def test_every_queue_has_a_target() -> None:
    assert TARGETS_S.keys() == QUEUES.keys()


def test_with_redis_down_the_age_of_a_queue_is_no_news() -> None:
    found = judge(TROUBLES["queue-age"], redis_down(OSError("refused")))

    assert [(f.key, f.cause) for f in found] == [
        ("redis_down", None),
        ("queue_age:email", "redis_down"),
    ]


@pytest.mark.parametrize(
    ("memory", "key"),
    [
        ({"used_memory": 95, "maxmemory": 100, "maxmemory_policy": "noeviction"}, "redis_full"),
        ({"used_memory": 5, "maxmemory": 100, "maxmemory_policy": "allkeys-lru"}, "redis_evicts"),
    ],
)
def test_a_redis_that_loses_or_refuses_tickets_is_found(
    memory: dict[str, object], key: str
) -> None:
    assert [finding.key for finding in judge_memory(memory)] == [key]


def test_a_redis_without_a_limit_is_well() -> None:
    assert (
        judge_memory({"used_memory": 95, "maxmemory": 0, "maxmemory_policy": "allkeys-lru"}) == []
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "400 ms"),
        (59, "59 s"),
        (90, "1.5 min"),
        (2460, "41 min"),
        (9000, "2.5 h"),
        (864000, "10 d"),
    ],
)
def test_spans_read_shortly_and_on_pages_as_in_findings(seconds: float, words: str) -> None:
    assert span(seconds) == duration(seconds) == words


def test_counts_that_were_cut_say_so() -> None:
    assert [jobs_in_words(n, 1_000) for n in (1, 2, 1_001)] == [
        "1 job",
        "2 jobs",
        "Over 1,000 jobs",
    ]


def test_jobs_are_asked_for_in_words_that_the_filter_understands() -> None:
    text = "".join(path.read_text() for path in RUNBOOKS.glob("*.md"))
    paths = set(re.findall(r"\]\((/jobs\?[^)]*)\)", text))
    for seen in TROUBLES.values():
        paths |= {path for finding in judge(seen) for _, path in finding.links}

    filters = [query for path in paths for query in parse_qs(urlsplit(path).query).get("q", [])]

    assert len(filters) > 5
    assert all(filtering.parse(query, Known(KINDS, QUEUES)).terms for query in filters)
