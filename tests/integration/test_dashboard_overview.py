"""The overview answers whether anything is stuck, since when, and why."""

import re
from collections.abc import Iterator

import pytest

from db import history, metrics, overview
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from workers.metrics import ATTEMPTS, DISPATCH_LAG, DURATION, Tally, flush

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def alive(conn: Connection, role: str, queues: str = "{}") -> None:
    conn.execute(
        "INSERT INTO worker.processes (id, role, host, pid, queues, expires_at)"
        " VALUES (gen_random_uuid(), %s, 'host-a', 1, %s, now() + interval '1 h')",
        (role, queues),
    )


def all_alive(conn: Connection) -> None:
    for role in ("dispatcher", "scheduler"):
        alive(conn, role)
    alive(conn, "worker", '{"default": {"threads": 8}, "email": {"threads": 4}}')


def waiting(conn: Connection, kind: str, queue: str, *, age_s: int, count: int = 1) -> None:
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, run_at)"
        " SELECT %s, %s, 'available', 5, now() - make_interval(secs => %s)"
        " FROM generate_series(1, %s)",
        (kind, queue, age_s, count),
    )


def row_of(page: str, queue: str) -> str:
    found = re.search(rf'<tr role="row" id="queue-{queue}".*?</table></td>', page, re.S)
    assert found is not None
    return found[0]


def discard(conn: Connection, error: str) -> int:
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, attempt, finished_at, errors)"
        " VALUES ('probe', 'default', 'discarded', 3, 3, now(),"
        " jsonb_build_array(jsonb_build_object('attempt', 3, 'error', %s::text))) RETURNING id",
        (error,),
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_first_run_teaches_how_to_enqueue(desk: Desk, conn: Connection) -> None:
    all_alive(conn)

    page = desk.browser("viewer").get("/")

    assert "Nothing was enqueued yet" in page
    assert "SELECT worker.enqueue('probe'" in page
    assert "avivro jobs enqueue probe" in page


def test_what_the_clock_enqueues_is_no_first_job(desk: Desk, conn: Connection) -> None:
    conn.execute(
        "INSERT INTO worker.schedules (name, kind, args, cron, missed, catch_up_s, begins_at)"
        " VALUES ('watch_health', 'watch_health', '{}', '* * * * *', 'skip', 60, now())"
    )
    waiting(conn, "watch_health", "default", age_s=1, count=3)

    page = desk.browser("viewer").get("/")

    assert "Nothing was enqueued yet" in page


def test_when_all_is_well_nothing_says_so(desk: Desk, conn: Connection) -> None:
    all_alive(conn)
    waiting(conn, "probe", "default", age_s=1)

    page = desk.browser("viewer").get("/")

    assert 'class="stop"' not in page
    assert 'class="hold"' not in page
    assert "Nothing was enqueued yet" not in page


def test_a_queue_without_a_worker_is_named_with_its_jobs_and_comes_first(
    desk: Desk, conn: Connection
) -> None:
    all_alive(conn)
    waiting(conn, "probe", "default", age_s=2)
    waiting(conn, "analyze_sentiment", "sentiment", age_s=2460, count=312)

    page = desk.browser("viewer").get("/")

    row = row_of(page, "sentiment")
    assert "no worker takes" in page
    assert "no worker" in row
    assert "<b>41 <small>min</small></b>" in row
    assert "over its target 10 min" in row
    assert page.index('id="queue-sentiment"') < page.index('id="queue-default"')
    assert "<b>0 / 0</b>" in row


def test_at_most_two_findings_are_shown_and_the_rest_is_counted(
    desk: Desk, conn: Connection
) -> None:
    waiting(conn, "probe", "default", age_s=900)
    conn.execute("INSERT INTO worker.pauses (scope, name, reason) VALUES ('queue', 'email', 'x')")

    page = desk.browser("viewer").get("/")

    assert len(re.findall(r'<li class="(?:stop|hold)"', page)) == 2
    assert re.search(r"\d+ more:\s+<a href=\"/runbooks/[a-z-]+\">", page)


def test_a_redis_that_is_away_breaks_the_path_and_not_the_page(
    database_url: str, conn: Connection
) -> None:
    all_alive(conn)

    with open_desk(database_url, NOWHERE) as desk:
        page = desk.browser("viewer").get("/")

    assert 'class="brk" id="stage-redis"' in page
    assert "Redis does not answer" in page


def test_figures_of_one_queue_do_not_show_on_another(desk: Desk, conn: Connection) -> None:
    all_alive(conn)
    waiting(conn, "probe", "default", age_s=1)
    tally = Tally()
    tally.count(ATTEMPTS, "send_email", "completed", by=120)
    for _ in range(100):
        tally.observe(DURATION, 100_000.0, "send_email")
        tally.observe(DISPATCH_LAG, 0.3, "email", "send_email")
    flush(conn, tally)
    conn.execute("UPDATE worker.minutes SET minute = minute - interval '1 min'")

    page = desk.browser("viewer").get("/")

    email, default = row_of(page, "email"), row_of(page, "default")
    assert "over 1 d" in email
    assert "275 ms" in email
    assert "over 1 d" not in default
    assert "now 120" in email or "now 60" in email
    assert "now 0" in default


def test_the_last_full_minute_is_named_by_its_time(desk: Desk, conn: Connection) -> None:
    all_alive(conn)
    waiting(conn, "probe", "default", age_s=1)
    tally = Tally()
    tally.count(ATTEMPTS, "send_email", "completed", by=120)
    flush(conn, tally)
    # Also in the minute under way, which may be over before the page is read.
    conn.execute(
        "INSERT INTO worker.minutes"
        " SELECT minute - interval '1 min', name, labels, value FROM worker.minutes"
    )
    minutes = conn.execute("SELECT DISTINCT minute FROM worker.minutes").fetchall()

    page = desk.browser("viewer").get("/")

    told = re.search(r"completed, 120 in the minute of <time [^>]*>([0-9:]+)</time>", page)
    assert told is not None
    assert told[1] in {f"{at:%H:%M}" for (at,) in minutes}


def test_every_range_is_shown_and_others_are_refused(desk: Desk) -> None:
    browser = desk.browser("viewer")

    for name in ("1h", "6h", "24h"):
        assert 'aria-current="true"' in browser.get(f"/?range={name}")

    assert browser.status("/?range=7d") == 400


def test_discarded_jobs_are_listed_and_what_strangers_wrote_stays_text(
    desk: Desk, conn: Connection
) -> None:
    all_alive(conn)
    job_id = discard(conn, "<script>alert(1)</script>" + "x" * 100_000)

    page = desk.browser("viewer").get("/")

    assert f'href="/jobs/{job_id}"' in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert len(page) < 200_000


def test_rows_have_names_that_stay_so_that_they_can_be_kept_in_place(desk: Desk) -> None:
    page = desk.browser("viewer").get("/")

    assert 'id="queues" data-steady' in page
    assert page.count('<tr role="row" id="queue-') == 5


def test_nothing_on_the_page_needs_a_style_or_a_script_of_its_own(desk: Desk) -> None:
    page = desk.browser("viewer").get("/")

    assert "style=" not in page
    assert not re.search(r"<script(?! src=)", page)
    assert not re.search(r"\son[a-z]+=", page)


def test_statements_of_the_overview_read_few_rows_of_many(conn: Connection) -> None:
    conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, max_attempts, finished_at)"
        " SELECT 'probe', 'default', 'completed', 1, now() - n * interval '1 s'"
        " FROM generate_series(1, 20000) AS n"
    )
    conn.execute("ANALYZE worker.jobs")
    arguments = {"name_max": 60, "error_max": 200, "rows_max": 10, "count_max": 10_000}

    plans = {
        name: "\n".join(
            line for (line,) in conn.execute(b"EXPLAIN " + getattr(overview.SQL, name), arguments)
        )
        for name in ("list_discards", "count_discards", "list_running")
    }

    for name, plan in plans.items():
        assert "Seq Scan on jobs" not in plan, (name, plan)


def test_the_sampled_hour_is_drawn(desk: Desk, conn: Connection) -> None:
    all_alive(conn)
    waiting(conn, "probe", "default", age_s=400)
    with conn.transaction():
        history.add_samples(conn, metrics.count_jobs(conn), queues=["default", "email"])
    conn.execute("UPDATE worker.minutes SET minute = minute - interval '2 min'")

    page = desk.browser("viewer").get("/")

    assert "never seen over 1 s: email" in page
    assert ">default 6.7 min</text>" in page
