"""5,000 chunks of two tenants, a provider that fails at random, two worker processes, one rate."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.embedded import Services
from tests.e2e.embedding_runs import Run, passages, repeats, running
from tests.fakes_openai import LOST, Fault
from tests.processes import ROOT, wait_until

CHUNKS = 5_000
TOKENS_PER_MINUTE = 1_500_000
FAULTS: tuple[Fault, ...] = ("500", "503", "429", "refuse", "slow", "no_usage", *sorted(LOST))
FAULT_SHARE = 0.1
GROWTH_MB_MAX = 40
DEADLINE_S = 120.0
POSTS = {
    "worker-1": ("worker", "--queue", "knowledge:1"),
    "worker-2": ("worker", "--queue", "knowledge:1"),
    "dispatcher": ("dispatcher",),
}


@pytest.fixture
def run(services: Services, template: str, tmp_path: Path) -> Iterator[Run]:
    env = {"PYTHONPATH": f"{ROOT / 'tests' / 'hasty'}:{ROOT}"}
    with running(services, template, tmp_path / "run", POSTS, **env) as started:
        yield started


def faults(seed: int) -> Iterator[Fault | None]:
    """One in ten, each kind before any comes again."""
    luck = random.Random(seed)
    while True:
        for kind in luck.sample(FAULTS, len(FAULTS)):
            while luck.random() >= FAULT_SHARE:
                yield None
            yield kind


def test_every_chunk_is_stored_and_paid_once_at_nearly_the_full_rate(run: Run) -> None:
    coming, made = faults(seed=11), Counter[str]()

    def choose() -> Fault | None:
        fault = next(coming)
        made[fault or "none"] += 1
        return fault

    run.fake.choose_fault = choose
    run.fake.limit(tokens=TOKENS_PER_MINUTE, full=False)
    contents = {
        run.insert(run.add_tenant(name), text, tokens_max=66): text
        for name in ("one", "two")
        if (text := passages(CHUNKS // 2, words=60, mark=name))
    }
    wait_until(lambda: run.fake.billed, "texts are bought")
    rss_mb = [run.rss_mb()]

    def watch() -> bool:
        rss_mb.append(run.rss_mb())
        return len(set(run.fake.billed)) == CHUNKS

    wait_until(watch, "all texts are bought", deadline_s=DEADLINE_S)
    run.wait_for(list(contents), deadline_s=DEADLINE_S)

    print(f"requests {len(run.fake.requests)}, refused by rate {run.fake.limited}: {dict(made)}")
    print(f"share of the allowed tokens used: {run.fake.share_used():.3f}")
    print(f"billed and lost on the way: {len(run.fake.lost)} texts, {run.fake.tokens_lost} tokens")
    print(f"largest worker: {rss_mb[0]:.0f} MB at the first answer, {max(rss_mb):.0f} MB at most")
    for source_id, text in contents.items():
        assert "".join(run.contents(source_id)) == text
    assert sum(len(run.contents(source_id)) for source_id in contents) == CHUNKS
    assert repeats(run.fake) == Counter(run.fake.lost)
    assert run.logged_tokens() == run.fake.tokens_billed - run.fake.tokens_lost
    assert run.fake.share_used() >= 0.9
    assert max(rss_mb) - rss_mb[0] < GROWTH_MB_MAX
    assert run.rows(
        "SELECT DISTINCT attempt - max_attempts FROM worker.jobs WHERE kind = 'index_source'"
    ) == [(-2,)]
