"""Whatever happens to raw rows, by whom and in whichever order: figures end as a naive recount."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import psycopg
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from psycopg.pq import TransactionStatus

from db.embedded import Services
from db.pool import Connection, connect
from pipelines import aggregate_daily_stats, summarize_usage
from tests.conftest import fresh_database
from tests.raw_changes import BY_NAME, CHANGES, Rows, people
from tests.recount import (
    differences,
    recount_counters,
    recount_days,
    recount_months,
    stored_counters,
    stored_days,
    stored_months,
)
from tests.stepping import Stepped, hold_job

WRITERS = 3
STORIES_MAX = 4
# `make stress` loads the profile of this name.
EXAMPLES = 2_000 if settings.get_current_profile_name() == "stress" else 12
RUNS_MAX = 30
STORIES = {"aggregate": aggregate_daily_stats.run, "summarize": summarize_usage.run}
# A step that would wait for another's transaction is left out.
REFUSED = (psycopg.errors.LockNotAvailable, psycopg.errors.ForeignKeyViolation)
CLEAN = (
    "DELETE FROM auth.users", "DELETE FROM public.usage_logs", "DELETE FROM worker.kept_opens",
    "DELETE FROM worker.jobs", "DELETE FROM worker.processes",
)  # fmt: skip

Step = tuple[str, int, int, int, int]
ACTIONS = (
    [change.__name__ for change in CHANGES]
    + ["commit"] * 12
    + ["rollback"] * 2
    + ["aggregate"] * 8
    + ["summarize"] * 3
    + ["step"] * 20
)
NUMBERS = st.integers(0, 399)
STEPS = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.integers(0, WRITERS - 1), NUMBERS, NUMBERS, NUMBERS),
    min_size=40,
    max_size=70,
)


@dataclass
class Play:
    """Writers whose transactions stay open, and stories that stand still between statements."""

    url: str
    judge: Connection
    writers: Sequence[Connection]
    rows: Rows = field(default_factory=Rows)
    running: list[Stepped] = field(default_factory=list)
    begun: list[Stepped] = field(default_factory=list)

    def take(self, step: Step) -> None:
        name, writer, a, b, c = step
        if name in BY_NAME:
            self.change(name, self.writers[writer], a, b, c)
        elif name in STORIES:
            self.begin(name, to_the_end=c % 2 == 0)
        elif name == "step":
            self.advance(a)
        else:
            getattr(self.writers[writer], name)()

    def change(self, name: str, conn: Connection, a: int, b: int, c: int) -> None:
        if conn.info.transaction_status == TransactionStatus.IDLE:
            conn.execute("SET LOCAL lock_timeout = '5ms'")
        with suppress(*REFUSED), conn.transaction():
            BY_NAME[name](conn, self.rows, a, b, c)

    def begin(self, name: str, *, to_the_end: bool) -> None:
        self.running = [story for story in self.running if not story.is_over]
        if len(self.running) < STORIES_MAX:
            fence, run = hold_job(self.url, KINDS[name]), STORIES[name]
            story = Stepped(self.url, lambda pool: run(fence(pool)))
            self.running.append(story)
            self.begun.append(story)
            if to_the_end:
                story.gate.open()
                story.thread.join(0.03)

    def advance(self, number: int) -> None:
        if self.running:
            self.running[number % len(self.running)].step()

    def end(self) -> None:
        """Everybody commits, every story ends, and further ones run until nothing is marked."""
        for writer in self.writers:
            writer.commit()
        # All at once: one may wait for another that stands still.
        for story in self.begun:
            story.gate.open()
        for story in self.begun:
            story.finish()
        for _ in range(RUNS_MAX):
            if not marks(self.judge):
                return
            for name in STORIES:
                self.begin(name, to_the_end=True)
                self.begun[-1].finish()
        raise AssertionError(f"{marks(self.judge)} marks are left after {RUNS_MAX} runs")


KINDS = {"aggregate": "aggregate_daily_stats", "summarize": "summarize_usage"}


def marks(conn: Connection) -> int:
    row = conn.execute(
        "SELECT (SELECT count(*) FROM worker.stats_marks)"
        " + (SELECT count(*) FROM worker.usage_marks)"
    ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[tuple[str, list[Connection]]]:
    """A database that all examples have in turn, and connections to it."""
    with fresh_database(services, template=template) as url, ExitStack() as stack:
        judge = stack.enter_context(connect(url, autocommit=True))
        judge.execute("SET TIME ZONE 'Pacific/Chatham'")
        yield url, [judge, *(stack.enter_context(connect(url)) for _ in range(WRITERS))]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(place=st.integers(0, 5), steps=STEPS)
def test_figures_end_equal_to_a_naive_recount_whatever_happened(
    shared: tuple[str, list[Connection]], place: int, steps: list[Step]
) -> None:
    url, (judge, *writers) = shared
    for statement in CLEAN:
        judge.execute(statement.encode())
    play = Play(url, judge, writers, people(judge, place))

    try:
        for step in steps:
            play.take(step)
    finally:
        play.end()

    note(f"{len(play.begun)} stories")
    assert differences(stored_days(judge), recount_days(judge)) == {}
    assert differences(stored_months(judge), recount_months(judge)) == {}
    assert differences(stored_counters(judge), recount_counters(judge)) == {}
