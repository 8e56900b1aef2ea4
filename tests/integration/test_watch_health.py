"""A job that tells that jobs flow."""

from collections.abc import Iterator

import pytest

from db.fence import Fence, LeaseLost
from db.pool import Connection
from pipelines.watch_health import run
from tests.housekeeping import column, held, lose

KIND = "watch_health"
LANDED_AGO_S = "SELECT extract(epoch FROM clock_timestamp() - landed_at)::float FROM worker.canary"


@pytest.fixture
def fence(conn: Connection, database_url: str) -> Iterator[Fence]:
    with held(conn, database_url, KIND) as held_fence:
        yield held_fence


def test_its_arrival_is_noted_with_the_time_it_took(conn: Connection, fence: Fence) -> None:
    conn.execute(
        "UPDATE worker.jobs SET run_at = clock_timestamp() - interval '40 s' WHERE id = %s",
        (fence.job_id,),
    )

    result = run(fence)

    assert 40 <= result["flown_s"] < 60
    assert column(conn, LANDED_AGO_S)[0] < 20


def test_running_twice_changes_nothing_but_the_time(conn: Connection, fence: Fence) -> None:
    run(fence)

    run(fence)

    assert column(conn, "SELECT count(*) FROM worker.canary") == [1]


def test_killed_midway_it_is_finished_by_the_next(
    conn: Connection, database_url: str, fence: Fence
) -> None:
    lose(conn, fence)
    with pytest.raises(LeaseLost):
        run(fence)
    before = column(conn, "SELECT landed_at FROM worker.canary")

    with held(conn, database_url, KIND) as second:
        run(second)

    assert before == [None]
    assert column(conn, LANDED_AGO_S)[0] < 20
