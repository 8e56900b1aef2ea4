"""What processes count by the minute: nothing is lost or mixed, whoever flushes when."""

import random
import threading
from collections import Counter
from datetime import timedelta

import psycopg
import pytest

from db import history, metrics
from db.pool import Connection, connect
from pipelines.prune import DELETIONS
from workers.metrics import ATTEMPTS, CLAIM_TO_START, DISPATCH_LAG, DURATION, Tally, flush
from workers.sampling import sample


def minute_sums(conn: Connection) -> dict[tuple[str, str], float]:
    return {
        (name, labels): value
        for name, labels, value in conn.execute(
            "SELECT name, labels::text, sum(value) FROM worker.minutes"
            " WHERE name NOT LIKE 'avivro_sampled%%' GROUP BY 1, 2"
        )
    }


def test_minutes_add_up_to_the_totals_whoever_flushes_at_once(
    conn: Connection, database_url: str
) -> None:
    def work(seed: int) -> None:
        chance, tally = random.Random(seed), Tally()
        with connect(database_url) as own:
            for _ in range(25):
                for _ in range(40):
                    kind = f"kind_{chance.randrange(12)}"
                    tally.count(ATTEMPTS, kind, chance.choice(["completed", "retryable"]))
                    tally.observe(DURATION, chance.expovariate(1), kind)
                    tally.observe(DISPATCH_LAG, chance.expovariate(10), "default", kind)
                flush(own, tally)
                own.commit()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    totals = {
        (name, labels): value
        for name, labels, value in conn.execute(
            "SELECT name, labels::text, value FROM worker.metrics WHERE name NOT LIKE '%%_sum'"
        )
    }
    assert minute_sums(conn) == totals
    for counted in (ATTEMPTS.name, DURATION.bucket, DISPATCH_LAG.bucket):
        assert sum(v for (name, _), v in totals.items() if name == counted) == 4 * 25 * 40


def test_a_flush_that_failed_is_added_once_in_both(conn: Connection, database_url: str) -> None:
    tally = Tally()
    tally.count(ATTEMPTS, "probe", "completed", by=7)
    with connect(database_url) as frozen, connect(database_url) as own:
        frozen.execute("LOCK worker.minutes IN EXCLUSIVE MODE")
        with pytest.raises(psycopg.OperationalError):
            flush(own, tally)
        own.rollback()
        frozen.rollback()

        flush(own, tally)

    assert sum(minute_sums(conn).values()) == 7
    assert [s.value for s in metrics.read_totals(conn) if s.name == ATTEMPTS.name] == [7]


def test_only_what_pages_show_is_kept_by_the_minute(conn: Connection) -> None:
    tally = Tally()
    tally.observe(CLAIM_TO_START, 0.2, "probe")

    flush(conn, tally)

    assert minute_sums(conn) == {}


@pytest.mark.parametrize(("span_min", "step_min"), [(60, 1), (60, 2), (360, 12), (1440, 48)])
def test_slots_are_as_many_as_asked_and_cover_each_full_minute_once(
    conn: Connection, span_min: int, step_min: int
) -> None:
    window = history.read_window(conn, span_min=span_min, step_min=step_min)
    conn.execute(
        "INSERT INTO worker.minutes SELECT minute, 'avivro_attempts_total',"
        " jsonb_build_object('kind', 'probe', 'outcome', 'completed'), 1"
        " FROM generate_series(%s::timestamptz - interval '5 min', %s, '1 min') AS g (minute)",
        (window.begins_at, window.ends_at + timedelta(minutes=1)),
    )

    found = history.read_finished(conn, window)

    slots = Counter({row.at: row.jobs for row in found})
    step = timedelta(minutes=step_min)
    expected = [window.begins_at + step * n for n in range(span_min // step_min)]
    minutes = int((window.ends_at - window.begins_at) / timedelta(minutes=1))
    assert sorted(slots) == expected
    assert slots.total() == minutes
    assert expected[-1] < window.ends_at <= expected[-1] + step


def test_the_age_of_the_oldest_is_sampled_once_a_minute_and_by_queue(conn: Connection) -> None:
    conn.execute(
        "SELECT worker.enqueue('probe', run_at => now() - interval '90 s'),"
        " worker.enqueue('probe', run_at => now() - interval '30 s'),"
        " worker.enqueue('probe', run_at => now() + interval '1 h')"
    )
    conn.execute("UPDATE worker.jobs SET state = 'available' WHERE run_at <= now()")

    first, second = sample(conn), sample(conn)

    ages: dict[str, float] = dict(
        conn.execute(
            "SELECT labels ->> 'queue', value FROM worker.minutes WHERE name = %s", [history.OLDEST]
        ).fetchall()
    )
    depths: dict[str, float] = dict(
        conn.execute(
            "SELECT labels ->> 'state', value FROM worker.minutes WHERE name = %s", [history.DEPTH]
        ).fetchall()
    )
    assert first
    assert not second
    assert 90 <= ages["default"] < 120
    assert ages["email"] == 0
    assert depths == {"available": 2, "scheduled": 1}


def test_minutes_of_the_day_before_yesterday_are_pruned(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO worker.minutes SELECT date_trunc('minute', now()) - h * interval '1 h',"
        " 'avivro_attempts_total', '{}', 1 FROM unnest(ARRAY[1, 24, 48, 50, 70]) AS t (h)"
    )

    batch = DELETIONS["minutes"](conn, since=None, rows_max=100)

    assert batch.deleted == 2
    assert sum(minute_sums(conn).values()) == 3
