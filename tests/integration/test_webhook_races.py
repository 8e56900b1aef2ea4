"""Webhooks and their deliveries under writers that write at the same time."""

import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg

from db.pool import Connection, connect
from tests.integration.schema_world import OTHER, OWNER, build, columns, insert, row_id

WEBHOOK = row_id("webhooks")
SERVICE = '{"role": "service_role"}'


def build_empty(conn: Connection) -> None:
    build(conn)
    conn.execute("DELETE FROM webhook_deliveries")
    conn.execute("DELETE FROM worker.jobs")


def add(conn: Connection, webhook: UUID = WEBHOOK) -> UUID:
    key = uuid4()
    row = {"id": key, "webhook_id": webhook, "event_type": "lead.captured"}
    insert(conn, "webhook_deliveries", row)
    return key


def test_a_visitors_write_locks_no_webhook(conn: Connection, database_url: str) -> None:
    build_empty(conn)
    conn.execute("UPDATE webhooks SET events = '{*}'")

    with conn.transaction(), connect(database_url, autocommit=True) as other:
        insert(conn, "leads", {"id": uuid4(), **columns("leads", OWNER)})
        other.execute("SET lock_timeout = '2s'")
        changed = other.execute("UPDATE webhooks SET name = 'New', total_deliveries = 1")

    assert changed.rowcount == 2


def test_counters_are_exact_whoever_writes_at_the_same_time(
    conn: Connection, database_url: str
) -> None:
    build_empty(conn)
    hooks = [WEBHOOK, row_id("webhooks", OTHER)]
    ids = [add(conn, hooks[n % 2]) for n in range(40)]
    shuffled = [ids[n * 7 % 40] for n in range(40)]

    def flip(order: list[UUID], statuses: tuple[str, ...]) -> Callable[[], None]:
        def work() -> None:
            with connect(database_url, autocommit=True) as other:
                for turn in range(6):
                    # As workers write: webhooks are locked before their deliveries.
                    with other.transaction():
                        other.execute("SELECT FROM webhooks ORDER BY id FOR NO KEY UPDATE")
                        other.execute(
                            "UPDATE webhook_deliveries SET status = %s WHERE id = ANY(%s)",
                            [statuses[turn % len(statuses)], order[turn : turn + 25]],
                        )

        return work

    at_once(
        flip(ids, ("delivered", "failed")),
        flip(shuffled, ("pending", "blocked", "delivered")),
        flip(shuffled[::-1], ("retrying", "failed", "cancelled")),
    )

    found = conn.execute(
        "SELECT w.total_deliveries - count(d), w.successful_deliveries - count(d) FILTER"
        " (WHERE d.status = 'delivered'), w.failed_deliveries - count(d) FILTER"
        " (WHERE d.status <> 'delivered') FROM webhooks AS w LEFT JOIN webhook_deliveries AS d"
        " ON d.webhook_id = w.id AND d.status IN ('delivered', 'failed', 'blocked')"
        " GROUP BY w.id"
    ).fetchall()
    assert found == [(0, 0, 0), (0, 0, 0)]


def test_single_writers_of_the_same_webhook_wait_for_each_other_and_none_fails(
    conn: Connection, database_url: str
) -> None:
    build_empty(conn)
    ids = [add(conn) for _ in range(30)]

    def deliver(mine: list[UUID]) -> Callable[[], None]:
        def work() -> None:
            with connect(database_url, autocommit=True) as other:
                for each in mine:
                    for status in ("failed", "pending", "delivered"):
                        other.execute(
                            "UPDATE webhook_deliveries SET status = %s WHERE id = %s",
                            [status, each],
                        )

        return work

    at_once(*(deliver(ids[n::3]) for n in range(3)))

    counted = conn.execute(
        "SELECT total_deliveries, successful_deliveries, failed_deliveries FROM webhooks"
        " WHERE id = %s",
        [WEBHOOK],
    ).fetchone()
    assert counted == (30, 30, 0)


def test_two_that_disable_a_webhook_at_once_tell_its_owner_once(
    conn: Connection, database_url: str
) -> None:
    build_empty(conn)
    call = b"SELECT worker.disable_webhook(%s, 'it is away', '2026-03-01 12:00+00')"
    answers: list[Any] = []

    def disable() -> None:
        with connect(database_url, autocommit=True) as other:
            answers.append(other.execute(call, [WEBHOOK]).fetchone())

    second = threading.Thread(target=disable)
    with conn.transaction():
        answers.append(conn.execute(call, [WEBHOOK]).fetchone())
        second.start()
        wait_for_a_waiter(conn)
    second.join()

    told = conn.execute(
        "SELECT (SELECT count(*) FROM notifications WHERE type = 'webhook_disabled'),"
        " (SELECT count(*) FROM email_logs WHERE email_type = 'webhook_disabled')"
    ).fetchone()
    assert (answers, told) == ([(True,), (False,)], (1, 1))


def wait_for_a_waiter(conn: Connection) -> None:
    """Until another connection waits for a lock of ours."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if conn.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is not None:
            return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


def test_an_edit_passes_over_what_a_worker_is_storing(conn: Connection, database_url: str) -> None:
    build_empty(conn)
    busy, idle = add(conn), add(conn)

    with connect(database_url, autocommit=True) as other, other.transaction():
        other.execute("SELECT FROM worker.jobs WHERE unique_key = %s FOR SHARE", [str(busy)])
        other.execute("SELECT FROM webhook_deliveries WHERE id = %s FOR UPDATE", [busy])
        conn.execute("SET lock_timeout = '5s'")
        conn.execute("UPDATE webhooks SET is_active = false WHERE id = %s", [WEBHOOK])

    left = conn.execute(
        "SELECT d.id, d.status, j.state FROM webhook_deliveries AS d JOIN worker.jobs AS j"
        " ON j.unique_key = d.id::text ORDER BY d.status"
    ).fetchall()
    assert left == [(idle, "cancelled", "cancelled"), (busy, "pending", "available")]


def test_sending_again_waits_for_the_worker_that_stores_and_both_are_done(
    conn: Connection, database_url: str
) -> None:
    build_empty(conn)
    delivery = add(conn)
    conn.execute("UPDATE worker.jobs SET state = 'running', attempt = 1")

    def send_again() -> None:
        with connect(database_url, autocommit=True) as other:
            other.execute("SET lock_timeout = '10s'")
            other.execute("SET ROLE service_role")
            other.execute("SELECT set_config('request.jwt.claims', %s, false)", [SERVICE])
            other.execute("SELECT redeliver_webhook(%s)", [delivery])

    owner = threading.Thread(target=send_again)
    with conn.transaction():
        # As a worker stores: its job, then the webhook, then the delivery.
        conn.execute("SELECT FROM worker.jobs FOR SHARE")
        owner.start()
        wait_for_a_waiter(conn)
        conn.execute("SELECT FROM webhooks WHERE id = %s FOR NO KEY UPDATE", [WEBHOOK])
        conn.execute("UPDATE webhook_deliveries SET status = 'delivered', attempt_count = 1")
    owner.join()

    found = conn.execute(
        "SELECT d.status, j.state, j.rerun, w.total_deliveries FROM webhook_deliveries AS d"
        " JOIN worker.jobs AS j ON true JOIN webhooks AS w ON w.id = d.webhook_id"
    ).fetchall()
    assert found == [("pending", "running", True, 0)]


def test_owners_who_send_the_same_again_at_once_wait_for_each_other_and_none_fails(
    conn: Connection, database_url: str
) -> None:
    build_empty(conn)
    delivery = add(conn)
    conn.execute("UPDATE webhook_deliveries SET status = 'delivered'")
    conn.execute("DELETE FROM worker.jobs")

    def send_again() -> None:
        with connect(database_url, autocommit=True) as other:
            other.execute("SET ROLE service_role")
            other.execute("SELECT set_config('request.jwt.claims', %s, false)", [SERVICE])
            for _ in range(8):
                other.execute("SELECT redeliver_webhook(%s)", [delivery])

    at_once(*[send_again] * 8)

    assert conn.execute("SELECT state FROM worker.jobs").fetchall() == [("available",)]


def at_once(*works: Callable[[], None]) -> None:
    """Run them at the same time; the first error of any is raised."""
    errors: list[Exception] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except psycopg.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
