"""What a look finds of jobs given up, of providers and of webhooks."""

from datetime import timedelta

import pytest

from db import health
from db.pool import Connection
from tests.integration.test_health import TENANT, complete_crew, found_in


def discard(conn: Connection, kind: str, number: int, *, ago: timedelta) -> None:
    lose(conn, kind, begun=ago, ended=ago, number=number)


def lose(conn: Connection, kind: str, *, begun: timedelta, ended: timedelta, number: int) -> None:
    """Spread evenly from `begun` ago to `ended` ago."""
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, finished_at)"
        " SELECT %s, 'default', 'discarded', 3, now() - %s - (%s) * (n / %s::float8)"
        " FROM generate_series(1, %s) AS n",
        (kind, ended, begun - ended, number, number),
    )


MINUTES, HOURS, DAYS = (timedelta(minutes=1), timedelta(hours=1), timedelta(days=1))
LATELY = {"begun": 14 * MINUTES, "ended": timedelta()}


@pytest.mark.parametrize(
    ("lately", "a_day", "is_found"),
    [(3, 0, False), (9, 0, False), (10, 0, True), (38, 960, False), (42, 960, True)],
)
def test_discards_are_measured_against_what_is_usual(
    conn: Connection, lately: int, a_day: int, is_found: bool
) -> None:
    complete_crew(conn)
    lose(conn, "probe", **LATELY, number=lately)
    lose(conn, "probe", begun=DAYS + 15 * MINUTES, ended=15 * MINUTES, number=a_day)

    found = found_in(conn)

    assert ("discards:probe" in found) is is_found
    if is_found:
        assert f"{lately} within 15 min" in found["discards:probe"].evidence


def test_an_outage_does_not_become_usual_while_it_lasts_nor_the_day_after(
    conn: Connection,
) -> None:
    complete_crew(conn)
    lose(conn, "probe", begun=5 * HOURS, ended=timedelta(), number=7_000)
    lose(conn, "index_source", **LATELY, number=12)
    lose(conn, "index_source", begun=20 * HOURS, ended=16 * HOURS, number=2_000)

    found = found_in(conn)

    assert {"discards:probe", "discards:index_source"} <= found.keys()


def test_what_is_lost_each_night_or_each_working_day_is_usual(conn: Connection) -> None:
    complete_crew(conn)
    conn.execute(
        "INSERT INTO worker.schedules (name, kind, cron, begins_at)"
        " VALUES ('probe', 'probe', '* * * * *', now() - interval '90 days')"
    )
    for day in range(8):
        discard(conn, "reconcile_daily_stats", 30, ago=day * DAYS + 5 * MINUTES)
    for day in (0, 1, 2, 3, 4, 7):
        lose(conn, "index_source", begun=(day * 24 + 9) * HOURS, ended=day * DAYS, number=720)

    found = found_in(conn)

    assert not {key for key in found if key.startswith("discards")}


def test_what_was_replayed_since_is_no_discard(conn: Connection) -> None:
    complete_crew(conn)
    discard(conn, "probe", 20, ago=timedelta(minutes=5))

    conn.execute("UPDATE worker.jobs SET state = 'available', finished_at = NULL, run_at = now()")

    assert found_in(conn) == {}


def call(conn: Connection, provider: str, result: str, number: int) -> None:
    conn.execute(
        "INSERT INTO worker.metrics (name, labels, value) VALUES ('avivro_provider_calls_total',"
        " jsonb_build_object('provider', %s::text, 'model', 'm', 'result', %s::text), %s)"
        " ON CONFLICT (name, labels) DO UPDATE SET value = worker.metrics.value + excluded.value",
        (provider, result, number),
    )


@pytest.mark.parametrize(
    ("ok", "failed", "is_found"), [(0, 4, False), (4, 6, True), (20, 6, False), (0, 5, True)]
)
def test_a_provider_fails_when_most_of_its_calls_lately_do(
    conn: Connection, ok: int, failed: int, is_found: bool
) -> None:
    complete_crew(conn)
    call(conn, "openai", "ok", 10_000)
    call(conn, "openai", "transient", 3_000)
    health.sample_provider_calls(conn)
    conn.execute("UPDATE worker.health_samples SET at = at - interval '10 min'")
    call(conn, "openai", "ok", ok)
    call(conn, "openai", "ratelimited", failed)

    found = found_in(conn)

    assert ("provider:openai" in found) is is_found


def test_webhooks_that_were_cut_off_together_are_told_once_and_not_at_each_failed_test(
    conn: Connection,
) -> None:
    complete_crew(conn)
    conn.execute("INSERT INTO auth.users (id, email) VALUES (%s, 'o@example.com')", (TENANT,))
    conn.execute(
        "WITH w AS (INSERT INTO public.webhooks (user_id, name, url, events, is_active)"
        " SELECT %s, n::text, 'https://example.com/' || n, '{lead.created}', false"
        " FROM generate_series(1, 5) AS n RETURNING id)"
        " INSERT INTO worker.endpoints (webhook_id, disabled_reason)"
        " SELECT id, 'failed for days' FROM w",
        (TENANT,),
    )
    before = found_in(conn)

    conn.execute(
        "INSERT INTO worker.endpoint_probes (webhook_id, probes, next_at)"
        " SELECT webhook_id, 1, now() FROM worker.endpoints"
    )
    conn.execute("UPDATE worker.endpoints SET updated_at = now()")

    assert before["webhooks_disabled"].title.startswith("5 webhooks")
    assert "webhooks_disabled" not in found_in(conn)


def test_providers_are_sampled_once_a_minute(conn: Connection) -> None:
    call(conn, "openai", "ok", 1)

    health.sample_provider_calls(conn)
    health.sample_provider_calls(conn)

    assert conn.execute("SELECT provider_calls FROM worker.health_samples").fetchall() == [
        ({"openai": {"ok": 1, "failed": 0, "limited": 0}},)
    ]
