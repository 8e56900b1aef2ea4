"""A tenant that floods the queue does not make another one wait behind its flood."""

from functools import partial
from uuid import UUID

from db import jobs
from db.pool import Connection
from tests.processes import Avivro, wait_until
from workers.jobs import Probe, enqueue_many
from workers.payloads import encode

FLOODER, GUEST = UUID(int=0xA), UUID(int=0xB)
FLOOD_JOBS = 4000
GUEST_JOBS = 8
WORK = Probe(sleep_ms=5)


def test_a_guest_is_served_before_the_flood_that_came_before_it(
    commands: Avivro, conn: Connection
) -> None:
    with conn.transaction():
        enqueue_many(conn, [WORK] * FLOOD_JOBS, tenant=FLOODER)
    commands.start("dispatcher")
    commands.start("worker", "--queue", "default:8")
    wait_until(lambda: jobs.list_jobs(conn, state="completed"), "the flood is being worked off")

    for _ in range(GUEST_JOBS):
        job_id = jobs.enqueue(conn, "probe", encode(WORK), tenant=GUEST)
        wait_until(partial(has_started, conn, job_id), "the guest's job starts")
    waiting = wait_until(lambda: list_overtaken(conn), "the flood has run")

    # Behind the flood, as in a plain queue, it would have overtaken none.
    assert len(waiting) == GUEST_JOBS
    assert [(all_, later) for all_, later in waiting if later < all_ / 2] == []


def has_started(conn: Connection, job_id: int) -> bool:
    job = jobs.get_job(conn, job_id)
    return job is not None and job.started_at is not None


def list_overtaken(conn: Connection) -> list[tuple[int, int]] | None:
    """For each guest: how much of the flood waited when it came, and how much ran after it.

    None while some of it waits. A guest that came when the flood was over would prove nothing.
    """
    row = conn.execute(
        "SELECT 1 FROM worker.jobs WHERE state NOT IN ('completed', 'discarded') LIMIT 1"
    ).fetchone()
    if row is not None:
        return None
    return conn.execute(
        """
        SELECT count(*) FILTER (WHERE f.started_at > g.created_at) AS waiting,
               count(*) FILTER (WHERE f.started_at > g.started_at) AS later
        FROM worker.jobs AS g CROSS JOIN worker.jobs AS f
        WHERE g.tenant = %s AND f.tenant = %s
        GROUP BY g.id HAVING count(*) FILTER (WHERE f.started_at > g.created_at) >= 100""",
        (GUEST, FLOODER),
    ).fetchall()
