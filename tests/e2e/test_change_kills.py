"""Killed at any step of a change of model, it completes, pays once, and search is never empty."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from db import processes
from db.embedded import Services
from db.pool import connect
from pipelines.vectors.buying import IN_FLIGHT_MAX
from pipelines.vectors.lots import LOT_INPUTS_MAX
from tests.chaos.gaps import Gaps
from tests.e2e.embedding_runs import Run, passages, repeats, running
from tests.kills import rarely
from tests.processes import wait_until

SMALL = "text-embedding-3-small"
# More than one slice of `embed_again`.
CHUNKS = 700
POSTS = {"worker": ("worker",), "dispatcher": ("dispatcher",)}
ASK = (
    "SELECT count(*), count(DISTINCT c.embedding_model) FROM public.search_knowledge(%s, %s) AS f"
    " JOIN public.knowledge_chunks AS c ON c.id = f.id"
)
QUIET = ("twins stored", "switched", *rarely("change begun", "switch due"))
SENDING = ("chunks copied", *rarely("answered"))


@dataclass
class Visitor:
    """Asks without a pause; what each question found: passages, and models among them."""

    found: list[tuple[int, int]] = field(default_factory=list)


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Gaps:
    return Gaps(tmp_path_factory.mktemp("kills") / "gaps")


@pytest.fixture(scope="module")
def run(
    services: Services, template: str, gaps: Gaps, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    env = {**gaps.env, "CRASH_EMBEDDING": "1"}
    folder = tmp_path_factory.mktemp("run")
    with running(services, template, folder, POSTS, **env) as started:
        yield started


@contextmanager
def visiting(run: Run, agent_id: UUID) -> Iterator[Visitor]:
    visitor, gone = Visitor(), threading.Event()

    def ask() -> None:
        with connect(run.fleet.env["DATABASE_URL"], autocommit=True) as conn:
            while not gone.wait(0.02):
                row = conn.execute(ASK.encode(), (agent_id, "visitor")).fetchone()
                assert row is not None
                visitor.found.append((row[0], row[1]))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield visitor
    finally:
        gone.set()
        asking.join()


def change(run: Run, gaps: Gaps, gap: str) -> None:
    """Move an agent of one source to another model, while the worker is killed in the gap."""
    wait_until(lambda: processes.list_capacity(run.conn), "a worker is there")
    # With so many words no piece of a passage fits beside another one.
    mark = f"g{(*QUIET, *SENDING).index(gap)}"
    agent_id = run.add_tenant(mark)
    source_id = run.insert(agent_id, passages(CHUNKS, words=18, mark=mark), tokens_max=26)
    run.wait_for([source_id], deadline_s=120)
    before = run.contents(source_id)
    run.fake.billed.clear()
    gaps.cut(gap, signal.SIGKILL)

    with visiting(run, agent_id) as visitor:
        run.conn.execute(
            "SELECT worker.enqueue('change_model', jsonb_build_object("
            "'agent_id', %s::uuid, 'model', %s::text))",
            (agent_id, SMALL),
        )
        wait_until(gaps.are_cut, "the worker reaches the gap")
        wait_until(lambda: models_of(run, agent_id) == {SMALL}, "only new chunks are left")

    assert run.contents(source_id) == before
    assert run.rows("SELECT embedding_model FROM agents WHERE id = %s", agent_id) == [(SMALL,)]
    assert len(before) == CHUNKS
    assert set(run.fake.billed) == {text.strip() for text in before}
    assert set(visitor.found) == {(5, 1)}


def models_of(run: Run, agent_id: UUID) -> set[str]:
    found = run.rows(
        "SELECT DISTINCT embedding_model FROM public.knowledge_chunks WHERE agent_id = %s", agent_id
    )
    return {model for (model,) in found}


@pytest.mark.parametrize("gap", QUIET)
def test_killed_where_nothing_is_in_flight_each_text_is_paid_once(
    run: Run, gaps: Gaps, gap: str
) -> None:
    change(run, gaps, gap)

    assert not repeats(run.fake)


@pytest.mark.parametrize("gap", SENDING)
def test_killed_among_requests_only_those_in_flight_are_paid_again(
    run: Run, gaps: Gaps, gap: str
) -> None:
    change(run, gaps, gap)

    again = repeats(run.fake)
    assert again.total() <= IN_FLIGHT_MAX * LOT_INPUTS_MAX
    assert max(again.values(), default=1) == 1
