"""Each housekeeping kind can be enqueued by SQL, and its doorway runs it."""

import pytest

from db import jobs
from db.pool import Connection, open_pool
from tests.housekeeping import column
from tests.queueing import claim_one, start_worker
from workers import config
from workers.actors import load_doorways, run_job
from workers.tools import Toolbox


@pytest.mark.parametrize(
    ("kind", "result"),
    [
        ("close_idle_conversations", {"closed": 0, "complete": True}),
        ("remind_follow_ups", {"reminded": 0, "mails": 0}),
        ("remind_trials", {"ending": 0, "mails": 0}),
        ("send_weekly_digests", {"users": 0, "mails": 0}),
        ("expire_api_keys", {"expired": 0}),
    ],
)
def test_it_runs_from_a_row_of_sql_alone(
    conn: Connection, database_url: str, kind: str, result: dict[str, object]
) -> None:
    load_doorways()
    (job_id,) = column(conn, "SELECT worker.enqueue(%s)", kind)
    claimed = claim_one(conn, start_worker(conn))

    with open_pool(database_url, size_max=2) as pool:
        answer = run_job(claimed, Toolbox(config.load(), pool))

    job = jobs.get_job(conn, job_id)
    assert (claimed.kind, answer) == (kind, result)
    assert job is not None
    assert job.queue == "default"
