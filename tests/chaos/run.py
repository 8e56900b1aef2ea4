"""One chaos run: feed jobs, strike again and again, wait for each recovery, judge, report."""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby

from tests.chaos.cargo import Feeder
from tests.chaos.faults import Fault
from tests.chaos.verdict import Recovery, Struck, all_free_s, recovery, violations
from tests.chaos.world import World

LOOK_EVERY_S = 0.25
# A fault that is not over by then is called a violation, and the run goes on.
GIVE_UP_S = 60.0
DRAIN_S_MAX = 240.0


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    jobs: int
    duration_s: float
    faults: Sequence[Fault]
    recovery_s_max: float
    gap_s: tuple[float, float]


@dataclass
class Report:
    jobs: int = 0
    reruns: int = 0
    restarts: int = 0
    took_s: float = 0.0
    violations: list[str] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)


def run(world: World, plan: Plan, *, say: Callable[[str], None] = print) -> Report:
    luck = random.Random(plan.seed)
    began_at = time.monotonic()
    wait_for_workers(world)
    feeder = Feeder(
        world.database_url, seed=plan.seed, jobs_min=plan.jobs, duration_s=plan.duration_s
    )
    feeder.start()
    struck: list[Struck] = []
    for fault in choose(plan.faults, luck):
        if time.monotonic() - began_at > plan.duration_s and len(struck) >= len(plan.faults):
            break
        time.sleep(luck.uniform(*plan.gap_s))
        struck.append(strike(world, fault, luck))
        say(f"  {time.monotonic() - began_at:5.0f} s  {fault.name}")
    feeder.close()
    return judge(world, plan, struck, took_s=drain(world, began_at))


def choose(faults: Sequence[Fault], luck: random.Random) -> Iterable[Fault]:
    """Every fault once in each round, in another order each time."""
    while True:
        yield from luck.sample(faults, len(faults))


def wait_for_workers(world: World) -> None:
    while not world.ask("SELECT 1 FROM worker.processes WHERE role = 'worker'"):
        time.sleep(LOOK_EVERY_S)


def strike(world: World, fault: Fault, luck: random.Random) -> Struck:
    """Returns when what ran at its beginning is free again, and a job was completed since."""
    held = list_running(world)
    began_at = datetime.now(UTC)
    fault.inject(world, luck, fault.lasts_s)
    over_at = datetime.now(UTC)
    if fault.lasts_s == 0:
        # It took a moment to choose whom to strike: what that one runs by now counts, too.
        held |= list_running(world)
    counts_from = began_at if fault.from_start else over_at
    struck = Struck(fault.name, began_at, counts_from, tuple(sorted(held)))
    give_up_at = time.monotonic() + GIVE_UP_S
    while not is_over(world, struck, over_at) and time.monotonic() < give_up_at:
        time.sleep(LOOK_EVERY_S)
    return struck


def list_running(world: World) -> set[tuple[int, int]]:
    rows = world.ask("SELECT id, attempt FROM worker.jobs WHERE state = 'running'")
    return {(row[0], row[1]) for row in rows}


def is_over(world: World, struck: Struck, over_at: datetime) -> bool:
    finished = world.ask(
        "SELECT 1 FROM chaos.ends WHERE new_state = 'completed' AND at > %s LIMIT 1", over_at
    )
    return bool(finished) and all_free_s(world, struck) is not None


def drain(world: World, began_at: float) -> float:
    """Wait until no job is left, or too long; seconds since the beginning of the run."""
    until = time.monotonic() + DRAIN_S_MAX
    unfinished = (
        "SELECT 1 FROM worker.jobs "
        "WHERE state NOT IN ('completed', 'discarded', 'cancelled') LIMIT 1"
    )
    while world.ask(unfinished) and time.monotonic() < until:
        time.sleep(LOOK_EVERY_S)
    return time.monotonic() - began_at


def judge(world: World, plan: Plan, struck: Sequence[Struck], *, took_s: float) -> Report:
    recoveries = [recovery(world, each) for each in struck]
    ((jobs,),) = world.ask("SELECT count(*) FROM chaos.cargo")
    ((reruns,),) = world.ask("SELECT count(*) - count(DISTINCT job_id) FROM chaos.effects")
    late = [
        f"recovery after {each.struck.name}: {each.worst_s:.1f} s, "
        f"limit {plan.recovery_s_max:.0f} s"
        for each in recoveries
        if each.worst_s > plan.recovery_s_max
    ]
    return Report(
        jobs=jobs,
        reruns=reruns,
        restarts=world.fleet.restarts,
        took_s=took_s,
        violations=violations(world) + late,
        recoveries=recoveries,
    )


def describe(report: Report) -> str:
    """Violations first, then each fault with its worst recovery."""
    lines = [f"VIOLATION  {each}" for each in report.violations]
    lines.append(
        f"{report.jobs} jobs in {report.took_s:.0f} s, {len(report.recoveries)} faults: "
        f"{len(report.violations)} violations (lost, finished twice, effects, attempts, recovery)"
    )
    lines.append(
        f"{report.reruns} effects were tried again by a second run and stored once; "
        f"{report.restarts} commands were started again"
    )
    lines += ["", f"{'fault':<40} {'times':>5} {'first finish s':>15} {'all jobs free s':>16}"]

    def name(each: Recovery) -> str:
        return each.struck.name

    for fault, group in groupby(sorted(report.recoveries, key=name), key=name):
        cases = list(group)
        lines.append(
            f"{fault:<40} {len(cases):>5} "
            f"{show(each.first_finish_s for each in cases):>15} "
            f"{show(each.all_free_s for each in cases):>16}"
        )
    worst = max(report.recoveries, key=lambda each: each.worst_s, default=None)
    if worst is not None:
        lines.append(f"worst: {worst.worst_s:.1f} s, after {worst.struck.name}")
    return "\n".join(lines)


def show(times_s: Iterable[float | None]) -> str:
    """The worst of them."""
    return f"{max(float('inf') if each is None else each for each in times_s):.1f}"
