"""Judges what becomes of jobs, and the servers they need. Pure."""

from collections.abc import Iterator, Sequence
from math import sqrt

from db.health import Discards, Lost
from pipelines.counting import plural
from workers.finding import Finding, since
from workers.health_facts import (
    CONNECTIONS_SHARE,
    CRASH_S,
    CRASHES_MIN,
    DISCARD_S,
    DISCARDS_MIN,
    DISCARDS_TIMES,
    FAILED_CALLS_MIN,
    FAILED_SHARE,
    STOPPED_MIN,
    Facts,
)
from workers.health_flow import cause_of, ended_by
from workers.spans import span


def judge_work(facts: Facts, flow: Sequence[Finding]) -> list[Finding]:
    return [
        *judge_lost(facts, flow),
        *judge_discards(facts),
        *judge_providers(facts),
        *judge_counts(facts),
        *judge_server(facts),
    ]


def judge_lost(facts: Facts, flow: Sequence[Finding]) -> Iterator[Finding]:
    for lost in facts.lost:
        if lost.missing:
            yield missing(facts, lost, cause_of(flow, f"no_{lost.role}"))
        if lost.lately >= CRASHES_MIN:
            yield Finding(
                key=f"crashes:{lost.role}@{lost.host}",
                level="hold",
                title=f"{lost.role} processes on {lost.host} keep dying",
                evidence=f"{lost.lately} within {span(CRASH_S)}, the last one "
                f"{span(facts.age_s(lost.seen_at))} ago{ended_by(lost.cause)}.",
                do="Look at the jobs that ran there, at the log and at the memory of the machine.",
                runbook="dead-processes",
                links=(
                    ("Workers", "/workers"),
                    ("Jobs that died with one", "/jobs?q=error%3A%22process+died%22"),
                ),
            )


def missing(facts: Facts, lost: Lost, cause: str | None) -> Finding:
    some = "A process" if lost.missing == 1 else f"{lost.missing} processes"
    return Finding(
        key=f"lost:{lost.role}@{lost.host}",
        level="hold",
        title=f"{some} of the {lost.role} on {lost.host} died and nothing took its place",
        evidence=f"Process {lost.pid} was seen {span(facts.age_s(lost.seen_at))} ago"
        f"{ended_by(lost.cause)}. What it ran was handed to others.",
        do=f"Start it again on {lost.host}: avivro {lost.role}. If the machine is gone for good, "
        "this ends by itself an hour after.",
        runbook="dead-processes",
        links=(("Workers", "/workers"),),
        cause=cause,
    )


def judge_discards(facts: Facts) -> Iterator[Finding]:
    for row in facts.discards:
        if not is_unusual(row):
            continue
        yield Finding(
            key=f"discards:{row.kind}",
            level="hold",
            title=f"Many {row.kind} jobs are given up",
            evidence=f"{row.lately:,} within {span(DISCARD_S)}, where {row.usual:,.0f} are usual.",
            do="See which error they share; replay the group when its cause is mended.",
            runbook="discards",
            links=(
                ("Errors", "/errors"),
                ("The jobs", f"/jobs?q=kind%3A{row.kind}+state%3Adiscarded+finished%3C15m"),
            ),
        )


def is_unusual(row: Discards) -> bool:
    """Well above the usual, chance included: the spread of a count is about its square root."""
    expected = DISCARDS_TIMES * (row.usual + sqrt(row.usual))
    return row.lately >= max(DISCARDS_MIN, expected)


def judge_providers(facts: Facts) -> Iterator[Finding]:
    for calls in facts.calls:
        total = calls.ok + calls.failed
        if calls.failed < FAILED_CALLS_MIN or calls.failed < FAILED_SHARE * total:
            continue
        limited = f", {calls.limited} of them as too many (429)" if calls.limited else ""
        yield Finding(
            key=f"provider:{calls.provider}",
            level="hold",
            title=f"{calls.provider} fails: {calls.failed} of {plural(total, 'call')}",
            evidence=f"Of {plural(total, 'call')} {since(calls.since, facts.now)}, "
            f"{calls.failed} failed{limited}. Jobs that need it are tried again later.",
            do="Look at the provider's status page and at the key's limits; pause the kinds that "
            "need it if it lasts.",
            runbook="provider-failing",
            links=(("Errors", "/errors"), ("Usage", "/usage")),
        )


def judge_counts(facts: Facts) -> Iterator[Finding]:
    if facts.mails.number and facts.mails.since is not None:
        yield Finding(
            key="uncertain_mails",
            level="hold",
            title="Mails wait for somebody's word",
            evidence=f"{facts.mails.number} may have arrived or not, the oldest "
            f"{since(facts.mails.since, facts.now)}. They are not sent again by themselves.",
            do="Settle each: it arrived, send it again, or give it up.",
            runbook="uncertain-mails",
            links=(("Email", "/email?status=uncertain"),),
        )
    if facts.webhooks.number >= STOPPED_MIN:
        yield Finding(
            key="webhooks_disabled",
            level="hold",
            title=f"{plural(facts.webhooks.number, 'webhook was', 'webhooks were')} cut off within"
            " an hour",
            evidence="Their endpoints failed for days, or answered 410. So many at a time "
            "may be our own network.",
            do="See whether they share a host; switch them on again once requests leave.",
            runbook="webhooks-disabled",
            links=(("Webhooks", "/webhooks"),),
        )
    if facts.differences.number and facts.differences.since is not None:
        days = plural(facts.differences.number, "day")
        yield Finding(
            key="stats_differences",
            level="hold",
            title="Daily statistics differ from what they count",
            evidence=f"Found wrong and not repaired: {days}, the first "
            f"{since(facts.differences.since, facts.now)}.",
            do="Compute them anew: avivro stats recompute.",
            runbook="stats-differences",
            links=(("Its jobs", "/jobs?q=kind%3Aaggregate_daily_stats"),),
        )


def judge_server(facts: Facts) -> Iterator[Finding]:
    server = facts.server
    if server.connections >= CONNECTIONS_SHARE * server.connections_max:
        yield Finding(
            key="postgres_connections",
            level="hold",
            title="Postgres is short of connections",
            evidence=f"{server.connections} of {server.connections_max} are in use. A process "
            "that gets none stands still.",
            do="Find who holds them; put a pooler in front, or start fewer processes.",
            runbook="postgres-connections",
        )
    if server.oldest_at is not None:
        yield Finding(
            key="long_transaction",
            level="hold",
            title="A transaction has been open for long",
            evidence=f'Backend {server.oldest_pid} ("{(server.oldest_name or "")[:60]}") has one '
            f"{since(server.oldest_at, facts.now)}. Dead rows pile up behind it, and the queue "
            "slows down.",
            do=f"Ask whose it is, then end it: SELECT pg_terminate_backend({server.oldest_pid}).",
            runbook="long-transaction",
        )
