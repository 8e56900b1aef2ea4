"""Queues, their kinds and their pauses, as operators see and change them."""

import random
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from db import backlog, lanes
from db.pool import Connection
from tests.dashboard_world import Browser, Desk, open_desk
from tests.integration.test_dashboard_tenants import add_jobs, audited, start_worker
from workers.dashboard import flow
from workers.dashboard.queue_rows import STEP_S, QueueRow, build, plan_words
from workers.jobs import KINDS, QUEUES


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def look(conn: Connection) -> dict[str, QueueRow]:
    since = datetime.now(UTC) - timedelta(hours=1)
    rows = build(
        flow.look(conn, flow.count(conn)),
        backlog.list_runs(conn, since=since),
        backlog.list_ended(conn, since=since, step_s=STEP_S),
    )
    return {row.name: row for row in rows}


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


def send(browser: Browser, action: str, **fields: object) -> tuple[int, str]:
    return browser.send(action, csrf=csrf(browser.get("/queues")), why="x", **fields)


def test_figures_are_those_of_a_naive_recount(conn: Connection) -> None:
    rng = random.Random(3)
    kinds = [rng.choice(sorted(KINDS)) for _ in range(90)]
    for kind in kinds:
        state = rng.choice(
            ("scheduled", "available", "dispatched", "running", "retryable", "completed",
             "discarded", "cancelled")
        )  # fmt: skip
        add_jobs(conn, uuid4(), state, rng.randint(1, 6), kind=kind, queue=KINDS[kind].queue,
                 priority=rng.choice((-5, 0, 10)), age_s=rng.uniform(5, 7000))  # fmt: skip

    rows = look(conn)

    states: Counter[tuple[str, str]] = Counter()
    kinds_waiting: Counter[str] = Counter()
    ended: Counter[tuple[str, str]] = Counter()
    oldest: dict[str, float] = {}
    for queue, kind, state, age_s, is_recent in conn.execute(
        "SELECT queue, kind, state, extract(epoch FROM now() - run_at)::float8,"
        " finished_at > now() - interval '1 hour' FROM worker.jobs"
    ).fetchall():
        states[queue, state] += 1
        kinds_waiting[kind] += state == "available"
        ended[queue, state] += bool(is_recent)
        if state == "available":
            oldest[queue] = max(oldest.get(queue, 0.0), age_s)
    for queue, row in rows.items():
        assert row.states == {state: states[queue, state] for state in row.states}
        assert (sum(row.completed), sum(row.discarded)) == (
            ended[queue, "completed"], ended[queue, "discarded"],
        )  # fmt: skip
        assert row.oldest_s == pytest.approx(oldest.get(queue), abs=5)
        assert {k.name: k.waiting for k in row.kinds if k.waiting} == {
            k: n for k, n in kinds_waiting.items() if n and KINDS[k].queue == queue
        }
        assert sum(jobs for _, jobs in row.priorities) == states[queue, "available"]


def test_each_trouble_has_its_verdict(conn: Connection) -> None:
    start_worker(conn, "knowledge", threads=2)
    start_worker(conn, "default", threads=2)
    start_worker(conn, "webhooks", threads=2)
    add_jobs(conn, uuid4(), "available", 3, age_s=5)
    add_jobs(conn, uuid4(), "running", 2, age_s=5)
    add_jobs(conn, uuid4(), "available", 1, kind="send_email", queue="email")
    add_jobs(conn, uuid4(), "available", 1, kind="probe", queue="default", age_s=4000)
    lanes.pause(conn, scope="queue", name="webhooks", reason="an incident", paused_by="ada")

    rows = look(conn)

    assert {name: row.verdict for name, row in rows.items()} == {
        "knowledge": "full", "email": "stopped", "default": "late", "webhooks": "paused",
        "sentiment": "idle",
    }  # fmt: skip
    assert next(iter(rows)) == "email"


def test_what_is_held_makes_no_queue_late(conn: Connection) -> None:
    held = uuid4()
    start_worker(conn)
    add_jobs(conn, held, "available", 1, age_s=9000)
    add_jobs(conn, uuid4(), "available", 1, age_s=2)
    lanes.pause(conn, scope="tenant", name=str(held))

    row = look(conn)["knowledge"]

    assert (row.verdict, row.words) == ("flows", "what waits longest is held")


def test_the_list_and_each_queue_are_shown_without_any_row(desk: Desk) -> None:
    browser = desk.browser("viewer")

    page = browser.get("/queues")

    for queue in QUEUES:
        assert f'href="/queues/{queue}"' in page
        assert "No live worker serves this queue" in browser.get(f"/queues/{queue}")
    assert browser.status("/queues/nonsense") == 404


def test_pausing_a_queue_calls_back_and_is_noted(conn: Connection, desk: Desk) -> None:
    add_jobs(conn, uuid4(), "dispatched", 3, age_s=1)
    add_jobs(conn, uuid4(), "running", 2, age_s=1)
    add_jobs(conn, uuid4(), "dispatched", 1, kind="send_email", queue="email", age_s=1)
    browser = desk.browser("operator", "ada")
    before = browser.get("/queues/knowledge")

    browser.post("/queues/pause", scope="queue", name="knowledge", why="incident 7", next="/queues")
    after = browser.get("/queues")

    assert "3 on the runway are called back" in re.sub(r"\s+", " ", before)
    found = conn.execute("SELECT queue, state, count(*) FROM worker.jobs GROUP BY 1, 2").fetchall()
    assert sorted(found) == [
        ("email", "dispatched", 1), ("knowledge", "available", 3), ("knowledge", "running", 2),
    ]  # fmt: skip
    assert audited(conn, "pause_queue") == [("queue knowledge", "incident 7", {"recalled": 3})]
    assert re.search(r"by ada: incident 7", after)
    assert "3 jobs came back from the runway" in after

    browser.post("/queues/resume", scope="queue", name="knowledge", next="/queues")

    assert (lanes.list_pauses(conn), len(audited(conn, "resume_queue"))) == ([], 1)


def test_pausing_a_kind_holds_it_alone(conn: Connection, desk: Desk) -> None:
    add_jobs(conn, uuid4(), "dispatched", 2, kind="crawl_site", age_s=1)
    add_jobs(conn, uuid4(), "dispatched", 2, age_s=1)
    browser = desk.browser()

    browser.post("/queues/pause", scope="kind", name="crawl_site", why="robots")

    found = conn.execute("SELECT kind, state FROM worker.jobs GROUP BY 1, 2").fetchall()
    assert sorted(found) == [("crawl_site", "available"), ("index_source", "dispatched")]
    assert "robots" in browser.get("/queues/knowledge")
    assert audited(conn, "pause_kind") == [("kind crawl_site", "robots", {"recalled": 2})]


def test_what_is_not_there_is_neither_paused_nor_resumed(conn: Connection, desk: Desk) -> None:
    browser = desk.browser()

    answers = [
        send(browser, f"/queues/{verb}", scope=scope, name=name)[0]
        for verb, scope, name in (
            ("pause", "queue", "defualt"), ("pause", "kind", "knowledge"),
            ("pause", "tenant", str(uuid4())), ("resume", "queue", "email"),
        )
    ]  # fmt: skip

    assert answers == [404, 404, 400, 409]
    assert lanes.list_pauses(conn) == []
    assert conn.execute("SELECT count(*) FROM worker.audit_log").fetchone() == (0,)


def test_holds_rates_and_limits_are_shown(conn: Connection, desk: Desk) -> None:
    conn.execute("UPDATE worker.kinds SET rate_per_s = 2, burst = 10 WHERE kind = 'send_email'")
    conn.execute("INSERT INTO worker.buckets VALUES ('send_email', -5, now())")
    conn.execute(
        "INSERT INTO worker.lane_holds (lane, cap, until_at, then_cap, reason) VALUES"
        " ('deliver_webhook:w1', 0, now() + interval '10 min', 2, '<b>refused</b>'),"
        " ('deliver_webhook:w2', 0, now() - interval '10 min', NULL, 'is over'),"
        " ('deliver_webhook:w3', 0, now() - interval '10 min', 4, 'a few again')"
    )
    browser = desk.browser("viewer")

    email, webhooks = browser.get("/queues/email"), browser.get("/queues/webhooks")

    assert "2 a second, 10 at once; 0.0 left" in re.sub(r"\s+", " ", email)
    assert "16 at a time for each webhook_id" in webhooks
    assert ("&lt;b&gt;refused&lt;/b&gt;" in webhooks, "is over" in webhooks) == (True, False)
    assert re.search(r'data-l="at a time">4<', webhooks)


def test_a_retry_plan_reads_as_it_is_kept() -> None:
    told = plan_words(KINDS["index_source"].retry)

    assert told == "3 tries; again after 5 s, 15 s, up to 25% later"
