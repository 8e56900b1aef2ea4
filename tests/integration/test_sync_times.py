"""When a source is due, as the database computes it."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from db.pool import Connection
from schedules.times import next_tick, trigger_of

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
SOURCE = UUID("8c3f6a52-6f0e-4f0d-9f3e-0d6a1f1f9a11")


def next_cron(conn: Connection, cron: str, since: datetime = NOON) -> datetime | None:
    row = conn.execute("SELECT worker.next_cron(%s, %s)", (cron, since)).fetchone()
    assert row is not None
    return None if row[0] is None else row[0].astimezone(UTC)


def next_sync(conn: Connection, frequency: str | None, since: datetime = NOON) -> datetime:
    row = conn.execute("SELECT worker.next_sync(%s, %s, %s)", (SOURCE, frequency, since)).fetchone()
    assert row is not None
    due: datetime = row[0]
    return due.astimezone(UTC)


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("* * * * *", NOON + timedelta(minutes=1)),
        ("*/20 * * * *", NOON + timedelta(minutes=20)),
        ("30 6 * * *", datetime(2026, 3, 3, 6, 30, tzinfo=UTC)),
        ("0 12 * * MON", datetime(2026, 3, 9, 12, 0, tzinfo=UTC)),
        ("0 9 * * 0", datetime(2026, 3, 8, 9, 0, tzinfo=UTC)),
        ("0 9 * * 7", datetime(2026, 3, 8, 9, 0, tzinfo=UTC)),
        ("0 9 * * fri-sun", datetime(2026, 3, 6, 9, 0, tzinfo=UTC)),
        ("15,45 8-10/2 1 jan,jul *", datetime(2026, 7, 1, 8, 15, tzinfo=UTC)),
        ("0 0 13 * fri", datetime(2026, 3, 6, 0, 0, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2028, 2, 29, 0, 0, tzinfo=UTC)),
        ("  5   4 * *   * ", datetime(2026, 3, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_a_cron_expression_means_what_cron_means(
    conn: Connection, cron: str, expected: datetime
) -> None:
    assert next_cron(conn, cron) == expected


@pytest.mark.parametrize(
    "cron",
    [
        "",
        "often",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "1,,2 * * * *",
        "* * * * funday",
        "0 0 31 2 *",
        "1;2 * * * *",
        "٣ * * * *",
        "9" * 10_000,
    ],
)
def test_what_no_cron_understands_is_a_problem_and_no_time(conn: Connection, cron: str) -> None:
    row = conn.execute("SELECT worker.sync_problem(%s)", (cron,)).fetchone()

    assert next_cron(conn, cron) is None
    assert row is not None
    assert "cannot be understood" in row[0]
    assert len(row[0]) < 400


def test_a_cron_agrees_with_the_schedulers_own(conn: Connection) -> None:
    luck = random.Random(7)
    for _ in range(200):
        cron = " ".join(
            [
                luck.choice(["*", "0", "*/7", "3-40/9", "1,2,59"]),
                luck.choice(["*", "5", "*/5", "22-23", "0,12"]),
                luck.choice(["*", "1", "28-31", "*/10"]),
                luck.choice(["*", "2", "feb", "*/3", "6-9"]),
                "*",
            ]
        )
        since = NOON + timedelta(minutes=luck.randrange(2_000_000))

        assert next_cron(conn, cron, since) == next_tick(trigger_of(cron), since), cron


@pytest.mark.parametrize(
    ("frequency", "step"),
    [
        ("hourly", timedelta(hours=1)),
        ("daily", timedelta(days=1)),
        (None, timedelta(days=1)),
        (" Weekly ", timedelta(days=7)),
        ("monthly", timedelta(days=31)),
    ],
)
def test_a_source_is_due_within_the_hour_before_its_interval_is_over(
    conn: Connection, frequency: str | None, step: timedelta
) -> None:
    due = next_sync(conn, frequency)

    assert NOON + step - timedelta(hours=1) <= due <= NOON + step


def test_a_source_keeps_its_second_of_the_hour(conn: Connection) -> None:
    first = next_sync(conn, "daily")

    second = next_sync(conn, "daily", first + timedelta(seconds=40))

    assert second - first == timedelta(days=1)


def test_ten_thousand_sources_that_were_added_together_spread_over_the_hour(
    conn: Connection,
) -> None:
    rows = conn.execute(
        "SELECT worker.next_sync(gen_random_uuid(), %s, %s) FROM generate_series(1, 10000)",
        ("daily", NOON),
    ).fetchall()

    minutes = Counter(row[0].astimezone(UTC).replace(second=0, microsecond=0) for row in rows)
    assert len(minutes) in (60, 61)
    assert max(minutes.values()) < 2 * 10_000 / 60


def test_hourly_sources_settle_down_spread_however_they_began(conn: Connection) -> None:
    rows = conn.execute(
        "WITH RECURSIVE life (id, at, turn) AS ("
        "  SELECT gen_random_uuid(), %s::timestamptz, 0 FROM generate_series(1, 2000)"
        "  UNION ALL SELECT id, worker.next_sync(id, 'hourly', at + interval '5 s'), turn + 1"
        "  FROM life WHERE turn < 24)"
        " SELECT at FROM life WHERE turn = 24",
        (NOON + timedelta(minutes=59),),
    ).fetchall()

    minutes = Counter(row[0].minute for row in rows)
    assert len(minutes) == 60
    assert max(minutes.values()) < 3 * 2000 / 60


def test_a_cron_fires_at_its_time_and_at_most_two_minutes_later(conn: Connection) -> None:
    rows = conn.execute(
        "SELECT worker.next_sync(gen_random_uuid(), '30 6 * * *', %s) FROM generate_series(1, 500)",
        (NOON,),
    ).fetchall()

    late = {row[0].astimezone(UTC) - datetime(2026, 3, 3, 6, 30, tzinfo=UTC) for row in rows}
    assert timedelta() <= min(late) <= max(late) <= timedelta(minutes=2)
    assert len(late) > 400


def test_a_cron_of_every_minute_is_kept_to_every_five(conn: Connection) -> None:
    assert next_sync(conn, "* * * * *") == NOON + timedelta(minutes=5)
