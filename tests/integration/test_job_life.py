"""Any order of claims, finishes, cancels, rescues, pauses: no job is lost, none ends twice.

JOB_LIFE_EXAMPLES=2000 looks further than a usual run does.
"""

import math
import os
from collections.abc import Iterator, Sequence

import psycopg
import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from db import jobs, lanes
from db.pool import connect
from tests.job_book import KINDS
from tests.job_life import JobLife, Servers
from workers import dispatcher
from workers.runway import Runway

EXAMPLES = int(os.environ.get("JOB_LIFE_EXAMPLES", "60"))
STEPS = 40
BROKEN_EXAMPLES_MAX = 400


@pytest.fixture
def life(
    database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[JobLife]]:
    """Commits that need not reach the disk: nothing here pulls the plug."""
    monkeypatch.setattr(dispatcher, "RESCUE_EVERY_S", math.inf)
    runway = Runway(redis_url)
    with connect(database_url, autocommit=True) as conn, redis.Redis.from_url(redis_url) as client:
        conn.execute("SET synchronous_commit = off")
        conn.execute(KINDS)
        monkeypatch.setattr(JobLife, "servers", Servers(conn, runway, client), raising=False)
        yield JobLife
    runway.close()


def live(
    life: type[JobLife],
    *,
    examples: int,
    phases: Sequence[Phase] = tuple(Phase),
    derandomize: bool = False,
) -> None:
    """Run so many lives of STEPS steps; raises what the first broken one raised."""
    run_state_machine_as_test(
        life,
        settings=settings(
            max_examples=examples,
            phases=phases,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            derandomize=derandomize or settings().derandomize,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(900)
def test_jobs_live_through_any_order_of_events(life: type[JobLife]) -> None:
    live(life, examples=EXAMPLES)


# Small slips, each of which loses a job, runs it twice or runs what shall not run.
BROKEN = {
    "finish without the attempt": (jobs, "finish_jobs", "AND j.attempt = u.attempt", ""),
    "finish without the state": (jobs, "finish_jobs", "AND (j.state = 'running') IS TRUE", ""),
    "finish that forgets a cancel": (jobs, "finish_jobs", "WHEN found.cancelled", "WHEN false"),
    "finish that forgets a rerun": (jobs, "finish_jobs", "j.rerun AND (NOT", "false AND (NOT"),
    "claim without the dispatch": (jobs, "claim_jobs", "AND j.dispatch_seq = u.seq", ""),
    "claim that keeps the attempt": (jobs, "claim_jobs", "j.attempt + 1", "greatest(j.attempt, 1)"),
    "rescue that lowers the attempt": (
        jobs,
        "rescue_running",
        "SET state = ruled.state,",
        "SET state = ruled.state, attempt = j.attempt - 1,",
    ),
    "rescue from the living": (
        jobs,
        "rescue_running",
        "p.expires_at < clock_timestamp()",
        "true",
    ),
    "rescue that spares no attempt": (jobs, "rescue_running", "j.max_attempts + 1", "max_attempts"),
    "recall without the dispatch": (jobs, "recall_jobs", "AND j.dispatch_seq = u.seq", ""),
    "cancel of what runs": (
        jobs,
        "cancel_jobs",
        "WHEN 'running' THEN 'running'",
        "WHEN '' THEN ''",
    ),
    "hold of a lost attempt": (jobs, "hold", "AND attempt = %(attempt)s", ""),
    "a dispatcher that knows no pause": (lanes, "list_pauses", "ORDER BY", "WHERE false ORDER BY"),
    "a dispatcher that counts nothing": (
        lanes,
        "count_in_flight",
        "GROUP BY",
        "AND false GROUP BY",
    ),
}


@pytest.mark.parametrize("variant", BROKEN)
def test_a_broken_statement_is_caught(
    life: type[JobLife], monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    area, name, right, wrong = BROKEN[variant]
    text = getattr(area.SQL, name).decode()
    assert text.count(right) == 1
    monkeypatch.setitem(area.SQL._texts, name, text.replace(right, wrong).encode())

    with pytest.raises((AssertionError, psycopg.Error, FlakyFailure)):
        live(life, examples=BROKEN_EXAMPLES_MAX, phases=[Phase.generate], derandomize=True)
