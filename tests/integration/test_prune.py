"""What the prune kind deletes on a real Postgres, what it keeps, and by which index."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from db import jobs, processes, retention
from db.fence import Fence, LeaseLost
from db.pool import Connection, open_pool
from db.retention import Batch
from pipelines import prune
from pipelines.prune import run
from tests.integration.people import sign_up
from workers.jobs import KINDS


@contextmanager
def held(conn: Connection, url: str) -> Iterator[Fence]:
    """A prune job as its worker holds it."""
    worker_id = uuid4()
    processes.register(conn, id=worker_id, role="worker", host="here", pid=1, queues={})
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts, worker_id)"
        " VALUES ('prune', 'default', 'running', 1, 3, %s) RETURNING id",
        (worker_id,),
    ).fetchone()
    assert row is not None
    with open_pool(url, size_max=2) as pool:
        yield Fence(pool, row[0], 1)


def finished(conn: Connection, state: str, *, days: float, awaited: bool = False) -> int:
    """A probe that ended that long ago, with a line of its log; its id."""
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, finished_at, awaited)"
        " VALUES ('probe', 'default', %s, 1, now() - make_interval(secs => %s * 86400), %s)"
        " RETURNING id",
        (state, days, awaited),
    ).fetchone()
    assert row is not None
    conn.execute(
        "INSERT INTO worker.job_logs (job_id, attempt, at, level, logger, message)"
        " VALUES (%s, 1, now(), 'INFO', 'test', 'a line')",
        (row[0],),
    )
    return int(row[0])


def many_finished(conn: Connection, count: int) -> None:
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, finished_at)"
        " SELECT 'probe', 'default', 'completed', 1, now() - interval '8 days' - n * interval '1 s'"
        " FROM generate_series(1, %s) AS n",
        (count,),
    )


def left(conn: Connection) -> set[int]:
    return {job.id for job in jobs.list_jobs(conn, kind="probe", rows_max=10_000)}


def fill_webhook_tables(conn: Connection) -> None:
    """An old delivery that ended, an old one that waits still, and one that ended lately."""
    user = sign_up(conn, "owner")
    (webhook,) = rows(
        conn,
        "INSERT INTO webhooks (user_id, name, url) VALUES (%s, 'w', 'https://a.example')"
        " RETURNING id",
        user,
    )
    for status, days in (("delivered", 40), ("retrying", 40), ("failed", 20)):
        (delivery,) = rows(
            conn,
            "INSERT INTO webhook_deliveries (webhook_id, event_type, status)"
            " VALUES (%s, 'lead.captured', %s) RETURNING id",
            webhook,
            status,
        )
        for table, at in (("delivery_bodies", "created_at"), ("delivery_attempts", "at")):
            what = "body" if at == "created_at" else "attempt"
            conn.execute(
                f"INSERT INTO worker.{table} (delivery_id, {what}, {at})"
                f" VALUES (%s, '1', now() - make_interval(days => %s))".encode(),
                (delivery, days),
            )
    conn.execute(
        "INSERT INTO worker.retired_secrets (webhook_id, secret, until_at)"
        " VALUES (%(id)s, 'old', now() - interval '2 days'), (%(id)s, 'new', now())",
        {"id": webhook},
    )


def rows(conn: Connection, query: str, *values: object) -> list[Any]:
    return [row[0] for row in conn.execute(query.encode(), values)]


def fill_side_tables(conn: Connection) -> None:
    """In each table one row that is old, and one that is not."""
    fill_webhook_tables(conn)
    for days in (0.5, 200):
        age = {"days": days}
        fill_time_tables(conn, age)
        conn.execute(
            "INSERT INTO worker.probe_effects (effect, job_id, attempt, at)"
            " VALUES ('e', %(days)s * 10, 1, now() - make_interval(secs => %(days)s * 86400))",
            age,
        )
        conn.execute(
            "INSERT INTO worker.embedding_cache (model, text_hash, embedding, tokens, used_at)"
            " VALUES ('m', decode(md5(%(days)s::text), 'hex'),"
            " array_fill(0, ARRAY[1536])::extensions.vector, 1,"
            " now() - make_interval(secs => %(days)s * 86400))",
            age,
        )
        conn.execute(
            "INSERT INTO worker.hosts (host, free_at)"
            " VALUES (%(days)s::text, now() - make_interval(secs => %(days)s * 86400))",
            age,
        )
        conn.execute(
            "INSERT INTO worker.email_events (provider, provider_message_id, type, at)"
            " VALUES ('resend', 'm', 'sent', now() - make_interval(secs => %(days)s * 86400))",
            age,
        )


def fill_time_tables(conn: Connection, age: dict[str, float]) -> None:
    conn.execute(
        "INSERT INTO worker.schedule_ticks (schedule, fire_at)"
        " VALUES ('s', now() - make_interval(secs => %(days)s * 86400))",
        age,
    )
    conn.execute(
        "INSERT INTO worker.minutes (minute, name, labels, value)"
        " VALUES (now() - make_interval(secs => %(days)s * 86400), 'm', '{}', 1)",
        age,
    )
    conn.execute(
        "INSERT INTO worker.buckets (lane, tokens, filled_at) VALUES (%(days)s::text, 1,"
        " now() - make_interval(secs => %(days)s * 86400))",
        age,
    )


def counts(conn: Connection) -> dict[str, int]:
    row = conn.execute(
        "SELECT (SELECT count(*) FROM worker.jobs WHERE kind = 'probe') AS jobs,"
        " (SELECT count(*) FROM worker.job_logs), (SELECT count(*) FROM worker.probe_effects),"
        " (SELECT count(*) FROM worker.embedding_cache),"
        " (SELECT count(*) FROM worker.schedule_ticks), (SELECT count(*) FROM worker.buckets),"
        " (SELECT count(*) FROM worker.hosts), (SELECT count(*) FROM worker.delivery_bodies),"
        " (SELECT count(*) FROM worker.delivery_attempts),"
        " (SELECT count(*) FROM worker.retired_secrets),"
        " (SELECT count(*) FROM worker.email_events)"
    ).fetchone()
    assert row is not None
    names = (
        "jobs", "logs", "effects", "vectors", "ticks", "buckets", "hosts", "bodies", "attempts",
        "secrets", "events",
    )  # fmt: skip
    return dict(zip(names, row, strict=True))


# Of what the next test makes.
DELETED = {
    "jobs": 3,
    "probe_effects": 1,
    "embedding_cache": 1,
    "schedule_ticks": 1,
    "buckets": 1,
    "minutes": 1,
    "hosts": 1,
    "fetched_pages": 0,
    "sync_runs": 0,
    "delivery_bodies": 1,
    "delivery_attempts": 1,
    "retired_secrets": 1,
    "email_events": 1,
    "analytics_events": 0,
    "activity_logs": 0,
    "read_notifications": 0,
    "notifications": 0,
    "email_logs": 0,
    "webhook_deliveries": 0,
    "lead_reminders": 0,
    "reminders": 0,
    "lane_holds": 0,
    "reopened_conversations": 0,
}


def test_it_deletes_what_is_old_and_keeps_the_rest(conn: Connection, database_url: str) -> None:
    fill_side_tables(conn)
    finished(conn, "completed", days=7.1)
    finished(conn, "cancelled", days=7.1)
    finished(conn, "discarded", days=90.1)
    kept = {
        finished(conn, "completed", days=6.9),
        finished(conn, "cancelled", days=6.9),
        finished(conn, "discarded", days=89.9),
        jobs.enqueue(conn, "probe", {}),
    }

    with held(conn, database_url) as fence:
        result = run(fence)

    assert left(conn) == kept
    assert counts(conn) == {
        "jobs": 4, "logs": 3, "effects": 1, "vectors": 1, "ticks": 1, "buckets": 1, "hosts": 1,
        "bodies": 2, "attempts": 2, "secrets": 1, "events": 1,
    }  # fmt: skip
    assert result == {"deleted": DELETED, "complete": True}


def test_running_twice_changes_nothing(conn: Connection, database_url: str) -> None:
    fill_side_tables(conn)
    finished(conn, "completed", days=8)
    kept = finished(conn, "completed", days=6)
    with held(conn, database_url) as fence:
        run(fence)
        before = counts(conn)

        result = run(fence)

    assert set(result["deleted"].values()) == {0}
    assert (counts(conn), left(conn)) == (before, {kept})


def test_killed_midway_it_is_finished_by_the_next(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease is lost after some batches: those stay deleted, and nothing more is."""
    monkeypatch.setattr(prune, "BATCH_ROWS", 100)
    many_finished(conn, 1000)
    with held(conn, database_url) as fence:
        monkeypatch.setitem(prune.DELETIONS, "jobs", dying_after(3, conn, fence.job_id))
        with pytest.raises(LeaseLost):
            run(fence)
    after_the_kill = len(left(conn))
    monkeypatch.setitem(prune.DELETIONS, "jobs", retention.delete_jobs)

    with held(conn, database_url) as fence:
        result = run(fence)

    assert after_the_kill == 700
    assert (result["deleted"]["jobs"], left(conn)) == (700, set())


def dying_after(batches: int, conn: Connection, job_id: int) -> Callable[..., Batch]:
    """The deletion of jobs, whose worker is rescued from after that many batches."""
    done = 0

    def delete(own: Connection, *, since: datetime | None, rows_max: int) -> Batch:
        nonlocal done
        done += 1
        batch = retention.delete_jobs(own, since=since, rows_max=rows_max)
        if done == batches:
            own.commit()
            conn.execute("UPDATE worker.jobs SET attempt = 2 WHERE id = %s", (job_id,))
        return batch

    return delete


def test_at_its_time_limit_it_stops_and_says_so(
    conn: Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "BATCH_ROWS", 100)
    many_finished(conn, 1000)

    with held(conn, database_url) as fence:
        result = run(fence, duration_s_max=0)

    assert (result["deleted"]["jobs"], result["complete"], len(left(conn))) == (100, False, 900)


def test_its_progress_is_on_its_row(conn: Connection, database_url: str) -> None:
    finished(conn, "completed", days=8)

    with held(conn, database_url) as fence:
        run(fence)

    job = jobs.get_job(conn, fence.job_id)
    assert job is not None
    assert job.progress == {"stage": "jobs", "done": 1}


def test_a_job_is_kept_while_another_waits_for_it(conn: Connection, database_url: str) -> None:
    awaited, done_waiting = (finished(conn, "completed", days=8, awaited=True) for _ in range(2))
    waiter = jobs.enqueue(conn, "probe", {})
    ended = finished(conn, "completed", days=1)
    conn.execute(
        "INSERT INTO worker.waits (job_id, waits_for) VALUES (%s, %s), (%s, %s)",
        (waiter, awaited, ended, done_waiting),
    )

    with held(conn, database_url) as fence:
        run(fence)

    assert left(conn) == {awaited, waiter, ended}


def test_the_last_tick_of_a_schedule_is_kept_however_old(
    conn: Connection, database_url: str
) -> None:
    conn.execute(
        "INSERT INTO worker.schedule_ticks (schedule, fire_at, by_hand) VALUES"
        " ('yearly', now() - interval '300 days', false),"
        " ('yearly', now() - interval '200 days', false),"
        " ('yearly', now() - interval '100 days', true)"
    )

    with held(conn, database_url) as fence:
        run(fence)

    kept = conn.execute("SELECT now() - fire_at FROM worker.schedule_ticks").fetchall()
    assert [round(age.days, -1) for (age,) in kept] == [200]


def test_what_another_transaction_holds_is_left_for_the_next_run(
    conn: Connection, database_url: str
) -> None:
    busy, _ = (finished(conn, "completed", days=8) for _ in range(2))

    with held(conn, database_url) as fence, conn.transaction():
        conn.execute("SELECT FROM worker.jobs WHERE id = %s FOR SHARE", (busy,))
        run(fence)

    assert left(conn) == {busy}


def test_two_at_once_are_not_dispatched() -> None:
    limit = KINDS["prune"].limit

    assert limit is not None
    assert limit.cap == 1


@pytest.mark.parametrize(
    ("statement", "table", "index", "days"),
    [
        ("delete_jobs", "jobs", "jobs_finished_idx", {"ended_days": 7, "discarded_days": 90}),
        ("delete_effects", "probe_effects", "probe_effects_at_idx", {"days": 7}),
        ("delete_vectors", "embedding_cache", "embedding_cache_used_idx", {"days": 90}),
        ("delete_ticks", "schedule_ticks", "schedule_ticks_fire_idx", {"days": 90}),
        ("delete_runs", "sync_runs", "sync_runs_finished_idx", {"days": 180}),
        ("delete_bodies", "delivery_bodies", "delivery_bodies_created_idx", {"days": 30}),
        ("delete_attempts", "delivery_attempts", "delivery_attempts_at_idx", {"days": 30}),
        ("delete_secrets", "retired_secrets", "retired_secrets_until_idx", {"days": 1}),
        ("delete_minutes", "minutes", "minutes_pkey", {"hours": 49}),
        ("delete_events", "email_events", "email_events_at_idx", {"days": 90}),
    ],
)
def test_it_finds_its_rows_by_an_index_on_stale_statistics(
    conn: Connection, statement: str, table: str, index: str, days: dict[str, int]
) -> None:
    conn.execute(f"ANALYZE worker.{table}")
    many_finished(conn, 20_000)

    with conn.transaction():
        conn.execute(retention.SQL.plan_by_index)
        plan = conn.execute(
            b"EXPLAIN " + getattr(retention.SQL, statement),
            {"since": None, "rows_max": 1000, **days},
        ).fetchall()

    text = "\n".join(line for (line,) in plan)
    assert f"Index Scan using {index}" in text
    assert "Seq Scan" not in text
    assert "Sort" not in text
