"""A queue's life by hand, statement by statement, for tests that are dispatcher and worker."""

from collections import Counter
from uuid import UUID, uuid4

from db import jobs, lanes, processes
from db.jobs import Claimed, Ticket
from db.pool import Connection
from workers.dealing import Shares, deal, order


def start_worker(conn: Connection, queue: str = "default") -> UUID:
    """A live worker process as far as the database knows; its id."""
    worker_id = uuid4()
    processes.register(
        conn, id=worker_id, role="worker", host="here", pid=1, queues={queue: {"threads": 8}}
    )
    return worker_id


def dispatch(conn: Connection, *, room: int = 100, queue: str = "default") -> list[Ticket]:
    """Up to `room` jobs, as a dispatcher that knows no limits would deal them in one go."""
    found = lanes.list_lanes(conn, queue=queue, lanes_max=1000)
    picks = deal(found, room=room, left={}, shares=Shares(), weights={})
    given = lanes.dispatch_jobs(
        conn, queue=queue, quotas=Counter(picks), epoch=jobs.read_epoch(conn)
    )
    tickets = [job.ticket for job in order(picks, given)]
    if given and len(given) < room:
        tickets += dispatch(conn, room=room - len(given), queue=queue)
    return tickets


def claim_one(conn: Connection, worker_id: UUID) -> Claimed:
    with conn.transaction():
        (job,) = jobs.claim_jobs(conn, dispatch(conn, room=1), worker_id=worker_id)
    return job


def state(conn: Connection, job_id: int) -> str:
    job = jobs.get_job(conn, job_id)
    assert job is not None
    return job.state
