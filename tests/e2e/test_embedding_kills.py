"""Killed at any step of a source of 2,000 chunks, it completes and pays for no text twice."""

import signal
from collections.abc import Iterator

import pytest

from db import processes
from db.embedded import Services
from pipelines.vectors.buying import IN_FLIGHT_MAX
from pipelines.vectors.lots import LOT_INPUTS_MAX
from tests.chaos.gaps import Gaps
from tests.e2e.embedding_runs import Run, passages, repeats, running, tokens_of
from tests.kills import rarely
from tests.processes import wait_until

CHUNKS = 2_000
POSTS = {"worker": ("worker", "--queue", "knowledge:2"), "dispatcher": ("dispatcher",)}
DEADLINE_S = 120.0

# In the order of a source's life. What is sent and not stored is paid for in vain.
BEFORE = ("source split", *rarely("source due", "source begun", "source read"))
SENDING = ("answered", *rarely("vectors planned", "request due", "cost logged"))
AFTER = ("chunks copied", *rarely("copy due", "source stored"))


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Gaps:
    return Gaps(tmp_path_factory.mktemp("kills") / "gaps")


@pytest.fixture(scope="module")
def run(
    services: Services, template: str, gaps: Gaps, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("run")
    env = {**gaps.env, "CRASH_EMBEDDING": "1"}
    with running(services, template, folder, POSTS, **env) as started:
        yield started


def index(run: Run, gaps: Gaps, gap: str, *, after_texts: int = 0) -> None:
    """One source, while the worker is killed in the gap, once so many texts were bought."""
    wait_until(lambda: processes.list_capacity(run.conn), "a worker is there")
    run.conn.execute("DELETE FROM public.usage_logs")
    run.fake.billed.clear()
    run.fake.tokens_billed = 0
    run.fake.answer_after_s = 0.05 if not after_texts else 0.2
    content = passages(CHUNKS, words=14, mark=f"{gap} {after_texts}")
    if not after_texts:
        gaps.cut(gap, signal.SIGKILL)

    tenant = run.add_tenant(f"{gap}-{after_texts}".replace(" ", "-"))
    source_id = run.insert(tenant, content, tokens_max=26)
    if after_texts:
        wait_until(lambda: len(run.fake.billed) >= after_texts, "texts are bought")
        gaps.cut(gap, signal.SIGKILL)
    wait_until(gaps.are_cut, "the worker reaches the gap")
    run.wait_for([source_id], deadline_s=DEADLINE_S)

    stored = run.contents(source_id)
    assert len(stored) == CHUNKS
    assert "".join(stored) == content
    assert set(run.fake.billed) >= {text.strip() for text in stored}


def check_paid(run: Run) -> None:
    """Each text is in the logs once, also where it was sent twice."""
    assert run.logged_tokens() == run.fake.tokens_billed - tokens_of(
        list(repeats(run.fake).elements())
    )


@pytest.mark.parametrize("gap", [*BEFORE, *AFTER])
def test_killed_where_nothing_is_in_flight_each_text_is_seen_once(
    run: Run, gaps: Gaps, gap: str
) -> None:
    index(run, gaps, gap)

    assert not repeats(run.fake)
    check_paid(run)


@pytest.mark.parametrize("gap", [*SENDING, *rarely("request paid")])
def test_killed_among_requests_only_those_in_flight_are_seen_again(
    run: Run, gaps: Gaps, gap: str
) -> None:
    index(run, gaps, gap)

    again = repeats(run.fake)
    assert again.total() <= IN_FLIGHT_MAX * LOT_INPUTS_MAX
    assert max(again.values(), default=1) == 1
    check_paid(run)


@pytest.mark.parametrize("gap", ["request paid", *rarely("answered")])
def test_killed_midway_only_requests_in_flight_are_seen_again(
    run: Run, gaps: Gaps, gap: str
) -> None:
    index(run, gaps, gap, after_texts=CHUNKS // 3)

    again = repeats(run.fake)
    assert again.total() <= IN_FLIGHT_MAX * LOT_INPUTS_MAX
    assert max(again.values(), default=1) == 1
    check_paid(run)
