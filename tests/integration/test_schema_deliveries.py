"""Rows of webhook_deliveries: the jobs they queue, how they are sent again, who counts them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from db import jobs
from db.embedded import Services
from db.jobs import Finish
from db.pool import Connection, connect
from tests.conftest import fresh_database
from tests.integration.schema_world import OTHER, OWNER, acting_as, build, columns, insert, row_id
from tests.queueing import start_worker

WEBHOOK = row_id("webhooks")


@pytest.fixture(scope="module")
def shared(services: Services, template: str) -> Iterator[Connection]:
    with (
        fresh_database(services, template=template) as url,
        connect(url, autocommit=True) as connection,
    ):
        build(connection)
        connection.execute("DELETE FROM webhook_deliveries")
        connection.execute("DELETE FROM worker.jobs")
        yield connection


@pytest.fixture
def conn(shared: Connection) -> Iterator[Connection]:
    """One database for the module; each test's writes are undone."""
    with shared.transaction(force_rollback=True):
        yield shared


def one(conn: Connection, query: str, *values: Any) -> Any:
    found = conn.execute(query.encode(), values).fetchone()
    return None if found is None else found[0]


def add(conn: Connection, status: str = "pending", **values: Any) -> UUID:
    key = uuid4()
    row = {"webhook_id": WEBHOOK, "event_type": "lead.captured", "status": status, **values}
    insert(conn, "webhook_deliveries", {"id": key, **row})
    return key


def job_of(conn: Connection, delivery: UUID, columns: str = "state") -> Any:
    """Of its unfinished job; None without one. There is never a second."""
    found = conn.execute(
        f"SELECT {columns} FROM worker.jobs WHERE kind = 'deliver_webhook' AND unique_key = %s"
        " AND state NOT IN ('completed', 'discarded', 'cancelled')".encode(),
        [str(delivery)],
    ).fetchall()
    assert len(found) <= 1
    return found[0] if found else None


def delivery_of(conn: Connection, delivery: UUID, columns: str) -> Any:
    return conn.execute(
        f"SELECT {columns} FROM webhook_deliveries WHERE id = %s".encode(), [delivery]
    ).fetchone()


def run(conn: Connection, delivery: UUID) -> tuple[int, int]:
    """Its job as a worker holds it: (id, attempt)."""
    worker_id = start_worker(conn)
    row = conn.execute(
        "UPDATE worker.jobs SET state = 'running', attempt = attempt + 1, worker_id = %s,"
        " started_at = now() WHERE unique_key = %s RETURNING id, attempt",
        [worker_id, str(delivery)],
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def counters(conn: Connection, webhook: UUID = WEBHOOK) -> Any:
    return conn.execute(
        "SELECT total_deliveries, successful_deliveries, failed_deliveries FROM webhooks"
        " WHERE id = %s",
        [webhook],
    ).fetchone()


def test_a_pending_row_is_its_own_job(conn: Connection) -> None:
    delivery = add(conn)

    assert job_of(conn, delivery, "state, tenant, limit_key, queue, args") == (
        "available",
        OWNER,
        str(WEBHOOK),
        "webhooks",
        {"delivery_id": str(delivery), "webhook_id": str(WEBHOOK)},
    )


@pytest.mark.parametrize("status", ["delivered", "failed", "blocked", "cancelled"])
def test_a_row_that_is_at_its_end_queues_nothing(conn: Connection, status: str) -> None:
    delivery = add(conn, status)

    assert job_of(conn, delivery) is None


@pytest.mark.parametrize("status", ["pending", "retrying"])
def test_a_row_for_later_waits_for_its_time(conn: Connection, status: str) -> None:
    later = one(conn, "SELECT now() + interval '1 hour'")

    delivery = add(conn, status, next_retry_at=later)

    assert job_of(conn, delivery, "state, run_at") == ("scheduled", later)


@pytest.mark.parametrize(
    ("at", "state"),
    [
        ("-infinity", "available"),
        ("0044-03-15 12:00+00 BC", "available"),
        ("20000-01-01 00:00+00", "scheduled"),
        ("infinity", "scheduled"),
    ],
)
def test_a_time_that_no_clock_shows_becomes_one_that_does(
    conn: Connection, at: str, state: str
) -> None:
    delivery = add(conn, next_retry_at=at)
    moved = add(conn)
    conn.execute("UPDATE webhook_deliveries SET next_retry_at = %s WHERE id = %s", [at, moved])

    found = [
        job_of(conn, each, "state, abs(extract(epoch FROM run_at - now())) < 370 * 86400")
        for each in (delivery, moved)
    ]
    assert found == [(state, True), (state, True)]


def test_copied_rows_are_queued_too(conn: Connection) -> None:
    ids = [uuid4() for _ in range(3)]

    with conn.cursor().copy(
        b"COPY webhook_deliveries (id, webhook_id, event_type) FROM STDIN"
    ) as copy:
        for each in ids:
            copy.write_row((each, WEBHOOK, "lead.captured"))

    assert [job_of(conn, each) for each in ids] == [("available",)] * 3


def test_rows_of_the_web_tier_are_queued_too(conn: Connection) -> None:
    with acting_as(conn, "service_role"):
        delivery = add(conn)

        conn.execute("RESET ROLE")
        assert job_of(conn, delivery) == ("available",)


def test_an_undone_row_has_no_job(conn: Connection) -> None:
    with conn.transaction(force_rollback=True):
        delivery = add(conn)

    assert job_of(conn, delivery) is None


def test_a_lead_reaches_five_hundred_subscribers_in_one_quick_statement(conn: Connection) -> None:
    conn.execute("UPDATE webhooks SET events = '{}'")
    conn.execute(
        "INSERT INTO webhooks (user_id, agent_id, name, url, events, is_active)"
        " SELECT %(owner)s, CASE WHEN n %% 5 = 0 THEN %(agent)s END, n::text,"
        " 'https://e.example/' || n, (ARRAY['{lead.captured}', '{lead.*}', '{*}',"
        " '{message.created,lead.captured}'])[n %% 4 + 1]::text[], true"
        " FROM generate_series(1, 500) AS n",
        {"owner": OWNER, "agent": row_id("agents")},
    )
    conn.execute(
        "INSERT INTO webhooks (user_id, agent_id, name, url, events, is_active) VALUES"
        " (%(owner)s, NULL, 'deaf', 'https://e.example', '{message.created,leads.*}', true),"
        " (%(owner)s, NULL, 'deaf', 'https://e.example', '{lead.updated}', true),"
        " (%(owner)s, NULL, 'deaf', 'https://e.example', '{*}', false),"
        " (%(owner)s, %(second)s, 'deaf', 'https://e.example', '{*}', true),"
        " (%(other)s, NULL, 'deaf', 'https://e.example', '{*}', true)",
        {"owner": OWNER, "other": OTHER, "second": second_agent(conn)},
    )
    began = one(conn, "SELECT clock_timestamp()")

    insert(conn, "leads", {"id": uuid4(), **columns("leads", OWNER)})

    took = one(conn, "SELECT clock_timestamp()") - began
    spread = conn.execute(
        "SELECT count(*), count(DISTINCT d.webhook_id), count(DISTINCT d.event_id),"
        " count(DISTINCT j.id), count(*) FILTER (WHERE w.name = 'deaf')"
        " FROM webhook_deliveries AS d JOIN webhooks AS w ON w.id = d.webhook_id"
        " JOIN worker.jobs AS j ON j.unique_key = d.id::text AND j.limit_key = w.id::text"
    ).fetchone()
    print(f"an insert with 500 subscribers took {took / timedelta(milliseconds=1):.0f} ms")
    assert spread == (500, 500, 1, 500, 0)


def second_agent(conn: Connection) -> UUID:
    agent = uuid4()
    insert(conn, "agents", {**columns("agents", OWNER), "id": agent, "name": "Second"})
    return agent


def test_a_waiting_retry_is_brought_forward(conn: Connection) -> None:
    delivery = add(conn)
    conn.execute(
        "UPDATE worker.jobs SET state = 'retryable', attempt = 4, run_at = now() + interval '1 h'"
    )
    conn.execute(
        "UPDATE webhook_deliveries SET status = 'retrying', attempt_count = 4,"
        " next_retry_at = now() + interval '1 hour', error_message = 'status: 500'"
    )

    conn.execute("UPDATE webhook_deliveries SET status = 'pending' WHERE id = %s", [delivery])

    kept = delivery_of(conn, delivery, "attempt_count, error_message, next_retry_at <= now()")
    assert job_of(conn, delivery, "state, run_at <= now(), max_attempts") == ("available", True, 9)
    assert kept == (0, None, True)


@pytest.mark.parametrize("status", ["delivered", "failed", "blocked", "cancelled"])
def test_an_ended_delivery_is_sent_again_by_its_status_alone(conn: Connection, status: str) -> None:
    delivery = add(conn, status, attempt_count=3, delivered_at="2026-01-01")

    conn.execute("UPDATE webhook_deliveries SET status = 'pending' WHERE id = %s", [delivery])

    assert job_of(conn, delivery, "state, max_attempts") == ("available", 5)
    assert delivery_of(conn, delivery, "attempt_count, delivered_at") == (0, None)


def test_a_delivery_that_is_running_runs_again(conn: Connection) -> None:
    delivery = add(conn)
    job_id, attempt = run(conn, delivery)
    conn.execute("UPDATE webhook_deliveries SET status = 'delivered', attempt_count = 1")

    conn.execute("UPDATE webhook_deliveries SET status = 'pending' WHERE id = %s", [delivery])

    assert job_of(conn, delivery, "state, rerun") == ("running", True)
    jobs.finish_jobs(conn, [Finish(job_id, attempt, "completed")])
    assert job_of(conn, delivery) == ("available",)


def test_writing_the_same_state_again_queues_nothing(conn: Connection) -> None:
    delivery = add(conn, "failed")

    conn.execute("UPDATE webhook_deliveries SET error_message = 'x', status = 'failed'")

    assert job_of(conn, delivery) is None


def test_a_plan_that_goes_on_is_no_redelivery(conn: Connection) -> None:
    delivery = add(conn)
    run(conn, delivery)

    conn.execute(
        "UPDATE webhook_deliveries SET status = 'retrying', attempt_count = 1,"
        " next_retry_at = now() + interval '5 s'"
    )

    assert job_of(conn, delivery, "state, rerun") == ("running", False)


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        ("discarded", "Internal error (KeyError): 'x'", ("failed", "internal: ")),
        ("discarded", "The worker process died while it ran this job.", ("failed", "internal: ")),
        ("cancelled", "no reason", ("cancelled", "cancelled: ")),
    ],
)
def test_a_job_that_is_given_up_tells_its_delivery(
    conn: Connection, state: str, error: str, expected: tuple[str, str]
) -> None:
    delivery = add(conn)
    job_id, attempt = run(conn, delivery)
    described = {"attempt": attempt, "error": error, "trace": None}

    jobs.finish_jobs(conn, [Finish(job_id, attempt, state, error=described)])

    status, message, next_at = delivery_of(conn, delivery, "status, error_message, next_retry_at")
    assert (status, message.startswith(expected[1]), next_at) == (expected[0], True, None)
    assert "KeyError" not in message


def test_giving_up_the_job_of_an_ended_delivery_changes_nothing(conn: Connection) -> None:
    delivery = add(conn)
    job_id, attempt = run(conn, delivery)
    conn.execute("UPDATE webhook_deliveries SET status = 'failed', error_message = 'dns: x'")

    jobs.finish_jobs(conn, [Finish(job_id, attempt, "discarded")])

    assert delivery_of(conn, delivery, "status, error_message") == ("failed", "dns: x")
    assert counters(conn) == (1, 0, 1)


def test_an_operator_who_retries_the_job_sends_the_delivery(conn: Connection) -> None:
    delivery = add(conn)
    job_id, attempt = run(conn, delivery)
    jobs.finish_jobs(conn, [Finish(job_id, attempt, "discarded")])

    jobs.retry_jobs(conn, [job_id])

    assert delivery_of(conn, delivery, "status, attempt_count") == ("pending", 0)
    assert job_of(conn, delivery, "id, state") == (job_id, "available")


def test_a_deleted_delivery_ends_its_job(conn: Connection) -> None:
    delivery = add(conn)

    conn.execute("DELETE FROM webhook_deliveries WHERE id = %s", [delivery])

    assert one(conn, "SELECT state FROM worker.jobs") == "cancelled"


def test_a_deleted_webhook_ends_its_jobs_but_for_one_that_runs(conn: Connection) -> None:
    waiting, running = add(conn), add(conn)
    job = run(conn, running)

    conn.execute("DELETE FROM webhooks WHERE id = %s", [WEBHOOK])

    states = conn.execute("SELECT state FROM worker.jobs ORDER BY id").fetchall()
    assert (job_of(conn, waiting), states) == (None, [("cancelled",), ("running",)])
    jobs.finish_jobs(conn, [Finish(*job, "completed")])


def test_each_end_is_counted_once_and_a_redelivery_takes_it_back(conn: Connection) -> None:
    ids = [add(conn) for _ in range(4)]
    steps = []

    for statuses in (
        ("delivered", "failed", "blocked", "cancelled"),
        ("delivered", "failed", "blocked", "cancelled"),
        ("pending", "pending", "blocked", "cancelled"),
        ("delivered", "delivered", "failed", "retrying"),
    ):
        for delivery, status in zip(ids, statuses, strict=True):
            conn.execute(
                "UPDATE webhook_deliveries SET status = %s WHERE id = %s", [status, delivery]
            )
        steps.append(counters(conn))

    assert steps == [(3, 1, 2), (3, 1, 2), (1, 0, 1), (3, 2, 1)]


def test_rows_that_are_inserted_as_ended_count_and_deleted_ones_stay_counted(
    conn: Connection,
) -> None:
    add(conn, "delivered")
    add(conn, "failed")
    add(conn, "cancelled")

    conn.execute("DELETE FROM webhook_deliveries")

    assert counters(conn) == (2, 1, 1)


def test_a_test_event_has_a_lane_that_no_open_circuit_holds(conn: Connection) -> None:
    event, test = add(conn), add(conn, event_type="webhook.test")
    conn.execute("UPDATE webhook_deliveries SET status = 'failed' WHERE id = %s", [test])
    conn.execute("UPDATE worker.jobs SET state = 'completed' WHERE unique_key = %s", [str(test)])
    conn.execute("UPDATE webhook_deliveries SET status = 'pending' WHERE id = %s", [test])

    lanes = [job_of(conn, each, "lane")[0] for each in (event, test)]

    assert lanes == [f"deliver_webhook:{WEBHOOK}", f"deliver_webhook:{WEBHOOK}:test"]
