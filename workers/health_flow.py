"""Judges the path of jobs: processes, queues, schedules. Pure."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from urllib.parse import quote, urlencode

from db.health import COUNT_MAX, QueueState
from db.lanes import Pause
from workers.finding import Finding, Runbook, jobs_in_words, since
from workers.health_facts import BEHIND_S, CANARY_S, Facts
from workers.jobs import LONG_QUEUES, QUEUES
from workers.spans import span
from workers.targets import TARGETS_S

TARGET_S = 60.0
NAMED_MAX = 5
# Role, title, what follows, runbook.
ROLES: tuple[tuple[str, str, str, Runbook], ...] = (
    ("worker", "No worker is alive: nothing runs", "no job can begin", "no-worker"),
    (
        "dispatcher",
        "No dispatcher is alive: nothing is handed out",
        "jobs wait in Postgres",
        "no-dispatcher",
    ),
    (
        "scheduler",
        "No scheduler is alive: nothing is enqueued by the clock",
        "schedules come late, other jobs run",
        "no-scheduler",
    ),
)


def judge_flow(facts: Facts, of_redis: Sequence[Finding]) -> list[Finding]:
    """What Redis and Postgres say together. What follows from another finding names it."""
    found = [*of_redis, *judge_roles(facts)]
    found += judge_unserved(facts, found)
    found += judge_unknown(facts)
    found += judge_dispatch(facts, found)
    found += judge_ages(facts, found)
    found += judge_schedules(facts, found)
    found += judge_canary(facts, found)
    found += judge_pauses(facts)
    return found


def cause_of(found: Sequence[Finding], *keys: str) -> str | None:
    """The first of these keys that was found."""
    known = {finding.key for finding in found}
    return next((key for key in keys if key in known), None)


def judge_roles(facts: Facts) -> Iterator[Finding]:
    waiting = sum(queue.waiting for queue in facts.queues)
    oldest_at = min((q.oldest_at for q in facts.queues if q.oldest_at is not None), default=None)
    for role, title, effect, runbook in ROLES:
        if role in facts.crews:
            continue
        evidence = f"No {role} has renewed its lease for 20 s: {effect}."
        if (last := next((lost for lost in facts.lost if lost.role == role), None)) is not None:
            evidence += (
                f" The last one, process {last.pid} on {last.host}, was seen "
                f"{span(facts.age_s(last.seen_at))} ago{ended_by(last.cause)}."
            )
        if oldest_at is not None and role != "scheduler":
            evidence += f" {waits(waiting, oldest_at, facts.now)}."
        yield Finding(
            key=f"no_{role}",
            level="stop",
            title=title,
            evidence=evidence,
            do=f"Start one: avivro {role} (avivro up starts everything).",
            runbook=runbook,
            links=(("Workers", "/workers"),),
        )


def ended_by(cause: str | None) -> str:
    return "" if cause is None else f" ({cause})"


def waits(number: int, oldest_at: datetime, now: datetime) -> str:
    """The beginning of a sentence: 312 jobs wait, the oldest for 41 min, since 14:01:22 UTC."""
    verb = "waits" if number == 1 else "wait"
    return f"{jobs_in_words(number, COUNT_MAX)} {verb}, the oldest {since(oldest_at, now)}"


def judge_unserved(facts: Facts, found: Sequence[Finding]) -> Iterator[Finding]:
    for queue in facts.queues:
        if queue.threads or queue.oldest_at is None:
            continue
        evidence = f"{waits(queue.waiting, queue.oldest_at, facts.now)}: {named(queue.kinds)}."
        if queue.last_host is not None and queue.last_left_at is not None:
            evidence += (
                f" The last worker that served it, on {queue.last_host}, left "
                f"{span(facts.age_s(queue.last_left_at))} ago and none has come back."
            )
        yield Finding(
            key=f"queue_unserved:{queue.queue}",
            level="stop",
            title=f"{queue.queue} stands still: no worker takes {named(queue.kinds)}",
            evidence=evidence,
            do=f"Start a worker for it: avivro worker --queue {queue.queue}."
            if queue.queue in QUEUES
            else "Start workers of a release that has this queue; this one has not.",
            runbook="queue-unserved",
            links=(waiting_jobs(queue.queue), ("Workers", "/workers")),
            cause=cause_of(found, "no_worker"),
        )


def judge_unknown(facts: Facts) -> Iterator[Finding]:
    for unknown in facts.unknown:
        yield Finding(
            key=f"kind_unknown:{unknown.kind}",
            level="stop",
            title=f"No worker knows the kind {unknown.kind}",
            evidence=f"{waits(unknown.jobs, unknown.oldest_at, facts.now)}. Workers give such jobs "
            "back every second; that uses up none of their tries.",
            do="Start workers of a release that knows it, or cancel its jobs.",
            runbook="queue-unserved",
            links=(("Its jobs", f"/jobs?{urlencode({'q': quoted_kind(unknown.kind)})}"),),
        )


def quoted_kind(kind: str) -> str:
    """A filter for a kind that the code does not know."""
    escaped = kind.replace("\\", "\\\\").replace('"', '\\"')
    return f'kind:"{escaped}"'


def named(kinds: Sequence[str]) -> str:
    more = len(kinds) - NAMED_MAX
    return ", ".join(kinds[:NAMED_MAX]) + (f" and {more} more" if more > 0 else "")


def waiting_jobs(queue: str) -> tuple[str, str]:
    return ("Waiting jobs", f"/jobs?q=queue%3A{queue}+state%3Aavailable")


def judge_dispatch(facts: Facts, found: Sequence[Finding]) -> Iterator[Finding]:
    """Jobs that could run do not, although threads are idle."""
    reasons = [
        f"{queue.queue}: {waits(queue.waiting, queue.free_at, facts.now)}, while "
        f"{queue.threads - queue.in_flight} of {queue.threads} threads are idle"
        for queue in facts.queues
        if queue.free_at is not None and facts.age_s(queue.free_at) > BEHIND_S and is_idle(queue)
    ]
    if facts.promotion_at is not None and facts.age_s(facts.promotion_at) > BEHIND_S:
        reasons.append(
            f"A scheduled job or retry is due {since(facts.promotion_at, facts.now)}, and still "
            "not among those that wait"
        )
    if not reasons:
        return
    yield Finding(
        key="dispatcher_behind",
        level="hold",
        title="The dispatcher is behind",
        evidence="; ".join(reasons) + ". Nothing of it is paused or held back by a limit.",
        do="Look at the log of avivro dispatcher, and restart it if it says nothing.",
        runbook="dispatcher-behind",
        links=(("Queues", "/queues"), ("Workers", "/workers")),
        cause=cause_of(found, "no_dispatcher", "redis_down", "redis_full", "no_worker"),
    )


def is_idle(queue: QueueState) -> bool:
    """Where jobs are long, no tenant gets all the threads: some may be idle by rule."""
    if queue.queue in LONG_QUEUES:
        return queue.threads > 0 and queue.in_flight == 0
    return queue.in_flight < queue.threads


def judge_ages(facts: Facts, found: Sequence[Finding]) -> Iterator[Finding]:
    for queue in facts.queues:
        target_s = TARGETS_S.get(queue.queue, TARGET_S)
        if queue.free_at is None or facts.age_s(queue.free_at) <= target_s:
            continue
        yield Finding(
            key=f"queue_age:{queue.queue}",
            level="hold",
            title=f"{queue.queue} is over its target: its oldest job has waited "
            f"{span(facts.age_s(queue.free_at))}",
            evidence=f"{waits(queue.waiting, queue.free_at, facts.now)}; its target is "
            f"{span(target_s)}. {queue.in_flight} are in flight on {queue.threads} threads.",
            do=f"See what its threads do; give it more with avivro worker --queue {queue.queue}.",
            runbook="queue-age",
            links=(waiting_jobs(queue.queue), ("Queues", "/queues")),
            cause=cause_of(
                found,
                "no_worker",
                f"queue_unserved:{queue.queue}",
                "no_dispatcher",
                "redis_down",
                "dispatcher_behind",
            ),
        )


def judge_schedules(facts: Facts, found: Sequence[Finding]) -> Iterator[Finding]:
    if not facts.late:
        return
    number = len(facts.late)
    lines = [f"{late.name} by {span(facts.age_s(late.next_at))}" for late in facts.late[:NAMED_MAX]]
    more = f" and {number - NAMED_MAX} more" if number > NAMED_MAX else ""
    yield Finding(
        key="schedules_late",
        level="hold",
        title="A schedule is late" if number == 1 else f"{number} schedules are late",
        evidence=f"Late are {', '.join(lines)}{more}.",
        do="Look at the log of avivro scheduler, and restart it if it says nothing.",
        runbook="schedules-late",
        links=(("Schedules", "/schedules"),),
        cause=cause_of(found, "no_scheduler"),
    )


def judge_canary(facts: Facts, found: Sequence[Finding]) -> Iterator[Finding]:
    """The job of every minute tells what neither processes nor leases show."""
    if facts.canary is None:
        return
    landed_at = facts.canary.landed_at or facts.canary.begins_at
    if facts.age_s(landed_at) <= CANARY_S:
        return
    yield Finding(
        key="jobs_do_not_flow",
        level="stop",
        title="Jobs do not flow",
        evidence=f"watch_health is sent through the whole path every minute, and none has "
        f"arrived {since(landed_at, facts.now)}.",
        do="Follow the newest watch_health job: its page says where it stands and why.",
        runbook="jobs-do-not-flow",
        links=(("Its jobs", "/jobs?q=kind%3Awatch_health"),),
        cause=cause_of(
            found,
            "no_worker",
            "queue_unserved:default",
            "no_dispatcher",
            "redis_down",
            "no_scheduler",
            "dispatcher_behind",
            "queue_age:default",
            "schedules_late",
        ),
    )


def judge_pauses(facts: Facts) -> Iterator[Finding]:
    waiting = {queue.queue: queue.waiting for queue in facts.queues}
    for pause in facts.pauses:
        evidence = f"Paused {since(pause.paused_at, facts.now)}"
        if pause.paused_by:
            evidence += f", by {pause.paused_by}"
        evidence += f": {pause.reason}." if pause.reason else "; no reason was given."
        if pause.scope == "queue" and waiting.get(pause.name):
            evidence += f" {jobs_in_words(waiting[pause.name], COUNT_MAX)} of it wait."
        yield Finding(
            key=f"paused:{pause.scope}:{pause.name}",
            level="hold",
            title=f"The {pause.scope} {pause.name} is paused",
            evidence=evidence,
            do=f"Resume it when its reason is over: on the page, or {resuming(pause)}",
            runbook="paused",
            links=(("Resume", place_of(pause)),),
        )


def place_of(pause: Pause) -> str:
    """The page with its button."""
    return f"/tenants/{quote(pause.name)}" if pause.scope == "tenant" else "/queues"


def resuming(pause: Pause) -> str:
    """The command, ready to be pasted."""
    option = "" if pause.scope == "queue" else f"--{pause.scope} "
    return f"avivro queues resume {option}{shlex.quote(pause.name)}."
