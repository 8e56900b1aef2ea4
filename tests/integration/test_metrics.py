"""Totals of several processes in one table, and what /metrics counts among the jobs."""

import threading
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID, uuid4

import psycopg
import pytest

from db import jobs, metrics
from db.pool import Connection, Pool, connect, open_pool
from tests.processes import wait_until
from workers.exposition import Reader, expose
from workers.metrics import ATTEMPTS, DURATION, EPOCH_CHANGES, Flusher, Tally, flush


@pytest.fixture
def pool(database_url: str) -> Iterator[Pool]:
    with closing(open_pool(database_url, size_max=2)) as opened:
        yield opened


def total(conn: Connection, name: str) -> float:
    return sum(sample.value for sample in metrics.read_totals(conn) if sample.name == name)


def test_what_two_processes_count_adds_up(conn: Connection, database_url: str) -> None:
    tallies = [Tally(), Tally()]
    with connect(database_url) as other:
        for tally, own in zip(tallies, (conn, other), strict=True):
            tally.count(ATTEMPTS, "probe", "completed", by=3)
            flush(own, tally)
            tally.count(ATTEMPTS, "probe", "completed", by=4)
            tally.observe(DURATION, 0.25, "probe")
            flush(own, tally)

    assert total(conn, ATTEMPTS.name) == 14
    assert total(conn, DURATION.sum) == 0.5


def test_two_processes_that_flush_at_once_do_not_deadlock(
    conn: Connection, database_url: str
) -> None:
    kinds = [f"kind_{number}" for number in range(40)]

    def work(order: list[str]) -> None:
        tally = Tally()
        with connect(database_url) as own:
            for _ in range(60):
                for kind in order:
                    tally.count(ATTEMPTS, kind, "completed")
                flush(own, tally)

    threads = [threading.Thread(target=work, args=(order,)) for order in (kinds, kinds[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert total(conn, ATTEMPTS.name) == 2 * 60 * 40


def test_what_cannot_be_stored_now_is_stored_later(conn: Connection, database_url: str) -> None:
    tally = Tally()
    tally.count(EPOCH_CHANGES)
    flush(conn, tally)
    tally.count(EPOCH_CHANGES)
    with connect(database_url) as frozen, connect(database_url) as own:
        metrics.add_deltas(frozen, [metrics.Sample(EPOCH_CHANGES.name, {}, 1)])
        with pytest.raises(psycopg.OperationalError):
            flush(own, tally)
        own.rollback()
        frozen.rollback()

        flush(own, tally)

    assert total(conn, EPOCH_CHANGES.name) == 2


def test_an_orderly_end_leaves_nothing_uncounted(conn: Connection, pool: Pool) -> None:
    tally = Tally()
    flusher = Flusher(pool.connection, tally=tally, every_s=3600)
    flusher.start()
    tally.count(ATTEMPTS, "probe", "completed")

    flusher.close()

    assert total(conn, ATTEMPTS.name) == 1


def test_counting_goes_on_while_postgres_is_away(conn: Connection, pool: Pool) -> None:
    tally = Tally()
    away = threading.Event()
    away.set()

    def borrow() -> object:
        if away.is_set():
            raise psycopg.OperationalError("away")
        return pool.connection()

    flusher = Flusher(borrow, tally=tally, every_s=0.02)  # type: ignore[arg-type]
    flusher.start()
    tally.count(ATTEMPTS, "probe", "completed")
    away.clear()

    wait_until(lambda: total(conn, ATTEMPTS.name), "the count arrives")

    flusher.close()
    assert total(conn, ATTEMPTS.name) == 1


def test_depths_are_counted_by_queue_kind_and_state(conn: Connection, pool: Pool) -> None:
    conn.execute(
        """INSERT INTO worker.jobs (kind, queue, state, max_attempts, run_at, blocked)
           SELECT 'probe', 'default', state, 3, now() - interval '90 s', blocked
           FROM (VALUES ('available', false, 3), ('scheduled', false, 1), ('scheduled', true, 2),
                        ('retryable', false, 1), ('dispatched', false, 2), ('running', false, 1),
                        ('discarded', false, 4), ('completed', false, 9), ('cancelled', false, 5))
               AS wanted (state, blocked, jobs), generate_series(1, wanted.jobs)"""
    )

    text = expose(Reader(pool.connection).read()).decode()

    lines = [line for line in text.splitlines() if line.startswith('avivro_jobs{kind="probe"')]
    depth = {line.split('state="')[1].split('"')[0]: float(line.split()[-1]) for line in lines}
    assert depth == {
        "available": 3, "scheduled": 3, "retryable": 1, "dispatched": 2, "running": 1,
        "discarded": 4,
    }  # fmt: skip
    assert 89 < age(text) < 120


def test_a_job_that_runs_or_is_not_due_makes_no_age(conn: Connection, pool: Pool) -> None:
    conn.execute(
        """INSERT INTO worker.jobs (kind, queue, state, max_attempts, run_at, blocked) VALUES
           ('probe', 'default', 'running', 3, now() - interval '1 h', false),
           ('probe', 'default', 'scheduled', 3, now() + interval '1 h', false),
           ('probe', 'default', 'scheduled', 3, now() - interval '1 h', true)"""
    )

    assert age(expose(Reader(pool.connection).read()).decode()) == 0


def age(text: str) -> float:
    (line,) = [
        line
        for line in text.splitlines()
        if line.startswith('avivro_oldest_job_age_seconds{kind="probe"')
    ]
    return float(line.split()[-1])


def test_jobs_of_many_tenants_make_no_more_series(conn: Connection, pool: Pool) -> None:
    before = expose(Reader(pool.connection).read()).decode()
    tenants: list[UUID] = [uuid4() for _ in range(20)]
    for tenant in tenants:
        jobs.enqueue(conn, "probe", {}, tenant=tenant, unique_key=str(tenant))

    after = expose(Reader(pool.connection).read()).decode()

    assert not [tenant for tenant in tenants if str(tenant) in after]
    assert len(after.splitlines()) == len(before.splitlines())


def test_a_count_of_jobs_serves_for_a_while(conn: Connection, pool: Pool) -> None:
    reader = Reader(pool.connection)
    first = reader.read().depths
    jobs.enqueue(conn, "probe", {})

    assert reader.read().depths is first


def test_counting_jobs_reads_no_finished_row(conn: Connection) -> None:
    """Millions of completed rows would be read by a sequential scan."""
    conn.execute(
        """INSERT INTO worker.jobs (kind, queue, state, max_attempts)
           SELECT 'probe', 'default', state, 3
           FROM generate_series(1, 2000), unnest('{completed,available}'::text[]) AS state"""
    )
    conn.execute("ANALYZE worker.jobs")
    with conn.transaction():
        conn.execute(metrics.SQL.count_gently)

        plan = conn.execute(
            b"EXPLAIN " + metrics.SQL.count_jobs, {"with_discarded": True}
        ).fetchall()

    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text
    assert text.count("Bitmap Index Scan") == 5
