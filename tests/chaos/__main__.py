"""`make chaos`: the full run, then fairness under a flood; exit code 1 on any violation."""

import argparse
import sys

from tests.chaos import fairness
from tests.chaos.faults import FULL
from tests.chaos.run import Plan, describe, run
from tests.chaos.world import CONNECTIONS_MAX, world
from tests.integration.embedded_home import new_home

POSTS = {
    "worker-1": ("worker", "--queue", "default:8", "--processes", "2"),
    "worker-2": ("worker", "--queue", "default:8", "--processes", "2"),
    "dispatcher-1": ("dispatcher",),
    "dispatcher-2": ("dispatcher",),
}
RECOVERY_S_MAX = 30.0
GAP_S = (1.0, 3.0)


def main() -> None:
    asked = parse()
    plan = Plan(
        seed=asked.seed,
        jobs=asked.jobs,
        duration_s=asked.minutes * 60,
        faults=FULL,
        recovery_s_max=RECOVERY_S_MAX,
        gap_s=GAP_S,
    )
    print(f"chaos: {plan.jobs} jobs over {asked.minutes:g} minutes, seed {plan.seed}", flush=True)
    with new_home() as home:
        with world(home / "chaos", POSTS, connections_max=CONNECTIONS_MAX) as made:
            report = run(made, plan, say=tell)
        with world(home / "fairness", POSTS) as made:
            fair = fairness.measure(made, jobs=asked.jobs)
    print(f"\n{describe(report)}\n\n{fairness.describe(fair)}")
    sys.exit(1 if report.violations or not fair.holds else 0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=6.0)
    return parser.parse_args()


def tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
