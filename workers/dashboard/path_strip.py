"""The path of a job, from the scheduler to the providers: for each part, evidence. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from db.history import Call, CallTime
from db.overview import NextSchedule, Slots
from pipelines.counting import noun, plural
from workers.dashboard.percentiles import Percentiles, estimate_all
from workers.dashboard.words import capped, count, duration, size
from workers.finding import Finding
from workers.health_facts import Facts
from workers.jobs import QUEUES
from workers.metrics import PROVIDER_TIME

# Which part of the path a finding is about, by its runbook, and the word for it there.
PARTS = {
    "no-scheduler": ("Scheduler", "none alive"),
    "schedules-late": ("Scheduler", "late"),
    "postgres-down": ("Postgres", "down"),
    "postgres-connections": ("Postgres", "nearly full"),
    "long-transaction": ("Postgres", "held open"),
    "no-dispatcher": ("Dispatcher", "none alive"),
    "dispatcher-behind": ("Dispatcher", "behind"),
    "jobs-do-not-flow": ("Dispatcher", "no flow"),
    "redis-down": ("Redis", "down"),
    "redis-full": ("Redis", "memory"),
    "no-worker": ("Workers", "none alive"),
    "queue-unserved": ("Workers", "a queue is bare"),
    "dead-processes": ("Workers", "some died"),
    "provider-failing": ("Providers", "failing"),
}
FINE = ("ok", "whole", "cut", "refused", "empty", "inputrefused", "contentrefused")
# Of model providers, the two that are called most are named.
PROVIDERS_SHOWN = 2
NAME_MAX = 28


@dataclass(frozen=True, slots=True)
class Stage:
    """One part; `css` is "brk" where work stops there."""

    name: str
    state: str
    icon: str
    word: str
    lines: Sequence[Markup]

    @property
    def css(self) -> str:
        return "brk" if self.state == "stopped" else ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of all parts."""

    facts: Facts
    findings: Sequence[Finding]
    postgres_ms: float
    redis_ms: float | None
    redis_used: float
    redis_max: float
    slots: Mapping[str, Slots]
    hosts: int
    busy: int
    next_schedule: NextSchedule | None
    lags: Percentiles
    calls: Sequence[Call]
    call_times: Sequence[CallTime]


def build(seen: Seen) -> list[Stage]:
    lines = {
        "Scheduler": schedules(seen),
        "Postgres": postgres(seen),
        "Dispatcher": dispatch(seen),
        "Redis": runway(seen),
        "Workers": workers(seen),
        "Providers": providers(seen.calls, seen.call_times),
    }
    return [stage(name, list(said), seen.findings) for name, said in lines.items()]


def stage(name: str, lines: list[Markup], findings: Sequence[Finding]) -> Stage:
    """The worst finding of a part comes first among them."""
    for finding in findings:
        part, word = PARTS.get(finding.runbook, ("", ""))
        if part == name:
            stops = finding.level == "stop"
            return Stage(
                name, "stopped" if stops else "late", "stop" if stops else "warn", word, lines
            )
    return Stage(name, "ok", "completed", "ok", lines)


def schedules(seen: Seen) -> Iterable[Markup]:
    yield crew(seen.facts, "scheduler")
    late = seen.facts.late
    if late:
        yield Markup("<b>{}</b> {} late").format(
            late[0].name[:NAME_MAX], duration(seen.facts.age_s(late[0].next_at))
        )
    elif seen.next_schedule is not None:
        yield Markup("<b>{}</b> {}").format(
            seen.next_schedule.name[:NAME_MAX], due(seen.next_schedule.next_at, seen.facts.now)
        )
    else:
        yield Markup("no schedule is due")


def due(at: datetime, now: datetime) -> str:
    seconds = (at - now).total_seconds()
    return f"in {duration(seconds)}" if seconds > 0 else "is due"


def crew(facts: Facts, role: str) -> Markup:
    found = facts.crews.get(role)
    if found is None:
        return Markup("<b>none</b> is alive")
    beat = duration(max(0.0, facts.age_s(found.renewed_at)))
    return Markup("<b>{}</b> alive, beat {} ago").format(found.processes, beat)


def postgres(seen: Seen) -> Iterable[Markup]:
    yield Markup("answers in <b>{}</b>").format(duration(seen.postgres_ms / 1_000))
    server = seen.facts.server
    yield Markup("<b>{}</b> of {} connections").format(server.connections, server.connections_max)


def dispatch(seen: Seen) -> Iterable[Markup]:
    yield crew(seen.facts, "dispatcher")
    if seen.lags.p95 is None:
        yield Markup("nothing was due lately")
    else:
        yield Markup("p95 sent <b>{}</b> after due").format(seen.lags.p95.text)


def runway(seen: Seen) -> Iterable[Markup]:
    if seen.redis_ms is None:
        yield Markup("<b>no answer</b>")
        yield Markup("jobs wait in Postgres")
        return
    yield Markup("ping <b>{}</b>").format(duration(seen.redis_ms / 1_000))
    used = size(seen.redis_used)
    if seen.redis_max:
        yield Markup("<b>{}</b> of {}").format(used, size(seen.redis_max))
    else:
        yield Markup("<b>{}</b> used").format(used)


def workers(seen: Seen) -> Iterable[Markup]:
    served = sum(1 for queue in QUEUES if queue in seen.slots)
    yield Markup("<b>{}</b> of {} queues served").format(served, len(QUEUES))
    slots = sum(each.slots for each in seen.slots.values())
    hosts = plural(seen.hosts, "host")
    yield Markup("<b>{}</b> of {} slots busy, {}").format(count(seen.busy), count(slots), hosts)


def providers(calls: Sequence[Call], times: Sequence[CallTime]) -> Iterable[Markup]:
    """Of the last hour: how many, how slow, how many failed."""
    totals: dict[str, list[float]] = {}
    for call in calls:
        own = totals.setdefault(call.provider, [0.0, 0.0])
        own[call.result not in FINE] += call.calls
    if not totals:
        yield Markup("<b>no calls</b> in the last hour")
        yield Markup("local models need none")
    most = sorted(totals.items(), key=lambda item: -sum(item[1]))
    for name, (fine, failed) in most[:PROVIDERS_SHOWN]:
        share = f", {100 * failed / (fine + failed):.0f}% failed" if failed else ""
        words = calls_in_words(fine + failed)
        yield Markup("{} <b>{}</b>{}{}").format(name[:NAME_MAX], words, pace(name, times), share)
    if len(most) > PROVIDERS_SHOWN:
        yield Markup("and {} more").format(len(most) - PROVIDERS_SHOWN)


def pace(provider: str, times: Sequence[CallTime]) -> str:
    """What 95 of 100 calls took at most."""
    counts: dict[str, float] = {}
    for each in times:
        if each.provider == provider:
            counts[each.bound] = counts.get(each.bound, 0.0) + each.calls
    p95 = estimate_all(counts, PROVIDER_TIME.bounds).p95
    return "" if p95 is None else f", p95 {p95.text}"


def calls_in_words(number: float) -> str:
    return f"{capped(round(number), 999_999)} {noun(number, 'call')}"
