"""The page of one job: where its time went, what failed, and what nobody shall read by the way."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from db import jobs, waits
from db.pool import Connection
from tests.dashboard_world import Desk, open_desk
from tests.queueing import claim_one, start_worker

HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe\x1b[31mred\x1b[0m " + "W" * 3_000
TRACE = (
    "Traceback (most recent call last):\n"
    '  File "/srv/a/lib/python3.11/threading.py", line 9, in run'
    '\n    self()\n  File "/srv/a/pipelines/index_source.py", line 214, in run\n    embed(pages)\n'
    '  File "/srv/a/site-packages/httpx/x.py", line 2, in send\n    raise it\n'
    "pipelines.errors.Transient: status 429 <script>alert(1)</script>\n"
)


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def failed_job(conn: Connection, *, number: int = 1, error: str = "status 429") -> int:
    """One that failed `number` times, a minute apart, and was discarded."""
    row = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, args, attempt, max_attempts, created_at,"
        " run_at, dispatched_at, started_at, finished_at, errors)"
        " SELECT 'probe', 'default', 'discarded', '{}', %(n)s, %(n)s, t.at, t.last,"
        " t.last + interval '1 s', t.last + interval '2 s', t.last + interval '9 s',"
        " (SELECT jsonb_agg(jsonb_build_object('attempt', g, 'error', %(error)s::text,"
        "   'trace', %(trace)s::text, 'started_at', t.at + make_interval(secs => 60 * (g - 1) + 2),"
        "   'at', t.at + make_interval(secs => 60 * (g - 1) + 9), 'worker_id', gen_random_uuid()))"
        "  FROM generate_series(1, %(n)s) AS g)"
        " FROM (SELECT s.at, s.at + make_interval(secs => 60 * (%(n)s - 1)) AS last"
        "       FROM (SELECT now() - interval '1 h' AS at) AS s) AS t RETURNING id",
        {"n": number, "error": error, "trace": TRACE},
    ).fetchone()
    assert row is not None
    return int(row[0])


def words(page: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", page)))


@pytest.mark.parametrize("job_id", ["1", "0", "9223372036854775808", "1" * 40, "x", "-1", "١"])
def test_an_unknown_job_is_a_page_in_words(desk: Desk, job_id: str) -> None:
    answer = desk.browser("viewer").client.get(f"/jobs/{job_id}")

    assert answer.status_code == 404
    assert "There is no such job" in answer.text


def test_each_attempt_is_told_with_its_times(desk: Desk, conn: Connection) -> None:
    page = desk.browser("viewer").get(f"/jobs/{failed_job(conn, number=3)}")

    assert 'aria-label="Attempts 1st to 3rd' in page
    assert page.count('<rect class="hb"') == 4
    assert "discarded, attempt 3 of 3" in words(page)
    assert "21 s" in words(page)
    assert words(page).count("ran 7 s, status 429") == 3


def test_only_the_last_eight_attempts_are_shown_unless_all_are_asked_for(
    desk: Desk, conn: Connection
) -> None:
    job_id = failed_job(conn, number=12)
    browser = desk.browser("viewer")

    page, everything = browser.get(f"/jobs/{job_id}"), browser.get(f"/jobs/{job_id}?all=1")

    assert "Show 4 older" in page
    assert (page.count('id="error-'), everything.count('id="error-')) == (8, 12)


def test_a_trace_shows_our_frames_and_folds_the_rest(desk: Desk, conn: Connection) -> None:
    page = desk.browser("viewer").get(f"/jobs/{failed_job(conn)}")
    shown = words(page.split('id="error-1"')[1].split("The whole trace")[0])

    assert "pipelines/index_source.py:214 in run embed(pages)" in shown
    assert shown.count("1 frame of libraries folded") == 2
    assert "threading.py" not in shown


def test_hostile_texts_are_shown_as_texts(desk: Desk, conn: Connection) -> None:
    job_id = failed_job(conn, error=HOSTILE)
    conn.execute(
        "UPDATE worker.jobs SET kind = %s, unique_key = %s, progress = %s, result = %s, args = %s"
        " WHERE id = %s",
        (HOSTILE, HOSTILE, Jsonb({"note": HOSTILE}), Jsonb({HOSTILE: 1}),
         Jsonb({"source_id": f"javascript:{HOSTILE}"}), job_id),
    )  # fmt: skip
    conn.execute(
        "INSERT INTO worker.job_logs (job_id, attempt, at, level, logger, message)"
        " VALUES (%s, 1, now(), 'WARNING', 'x', %s)", (job_id, HOSTILE),
    )  # fmt: skip

    page = desk.browser("operator").get(f"/jobs/{job_id}")

    assert "<img" not in page
    assert "<script>alert" not in page
    assert not re.search('href="javascript', page)
    assert not any(each in page for each in ("\u202e", "\x1b"))


def test_arguments_are_hidden_until_an_operator_says_why(desk: Desk, conn: Connection) -> None:
    job_id = jobs.enqueue(conn, "probe", {"effect": "grandmother's maiden name", "sleep_ms": 7})
    conn.execute("UPDATE worker.jobs SET result = %s WHERE id = %s",
                 (Jsonb({"said": {"deep": ["a secret answer"]}}), job_id))  # fmt: skip
    browser = desk.browser("operator", "ada")
    page = browser.get(f"/jobs/{job_id}")

    token = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert token is not None
    status, shown = browser.send(f"/jobs/{job_id}/reveal", csrf=token[1], why="customer asks")

    assert "maiden" not in page
    assert "secret answer" not in page
    assert "redacted, 25 chars" in page
    assert '"sleep_ms": 7' in unescape(page)
    assert status == 200
    assert "grandmother's maiden name" in unescape(shown)
    assert "a secret answer" in shown
    noted = conn.execute(
        "SELECT operator, action, target, why, details FROM worker.audit_log"
    ).fetchall()
    assert noted == [("ada", "reveal_job", f"job {job_id}", "customer asks", {})]


@pytest.mark.parametrize("path", ["reveal", "act"])
def test_a_viewer_neither_reveals_nor_acts(desk: Desk, conn: Connection, path: str) -> None:
    job_id = jobs.enqueue(conn, "probe", {"effect": "grandmother"})
    viewer = desk.browser("viewer")

    answer = viewer.client.post(f"/jobs/{job_id}/{path}", data={"why": "x", "action": "cancel"})

    assert answer.status_code == 403
    assert "grandmother" not in answer.text
    assert "Reveal" not in viewer.get(f"/jobs/{job_id}")


@pytest.mark.parametrize(
    ("action", "start", "end"),
    [
        ("retry", "discarded", "available"),
        ("cancel", "available", "cancelled"),
        ("discard", "available", "discarded"),
        ("priority", "available", "available"),
        ("replay", "discarded", "discarded"),
    ],
)
def test_each_action_changes_the_job_and_is_noted(
    desk: Desk, conn: Connection, action: str, start: str, end: str
) -> None:
    job_id = jobs.enqueue(conn, "probe", {}) if start == "available" else failed_job(conn)
    browser = desk.browser("operator")
    assert f'value="{action}"' in browser.get(f"/jobs/{job_id}")

    browser.post(f"/jobs/{job_id}/act", action=action, run=uuid4(), priority=-7)

    job = jobs.get_job(conn, job_id)
    assert job is not None
    assert (job.state, job.priority) == (end, -7 if action == "priority" else 0)
    assert conn.execute("SELECT count(*) FROM worker.audit_log").fetchone() == (1,)
    if action == "replay":
        assert conn.execute("SELECT count(*) FROM worker.jobs").fetchone() == (2,)


def test_one_page_orders_one_thing_after_another(desk: Desk, conn: Connection) -> None:
    """Back shows all forms of the page again, and each thing that is asked for is done."""
    job_id = jobs.enqueue(conn, "probe", {})
    browser, run = desk.browser("operator"), uuid4()

    browser.post(f"/jobs/{job_id}/act", action="priority", run=run, priority=-7)
    browser.post(f"/jobs/{job_id}/act", action="priority", run=run, priority=4)
    browser.post(f"/jobs/{job_id}/act", action="cancel", run=run)

    job = jobs.get_job(conn, job_id)
    assert job is not None
    assert (job.state, job.priority) == ("cancelled", 4)


def test_what_cannot_be_done_is_refused_in_words(desk: Desk, conn: Connection) -> None:
    job_id = failed_job(conn)
    browser = desk.browser("operator")

    token = re.search(r'name="csrf" value="([0-9a-f]+)"', browser.get(f"/jobs/{job_id}"))
    assert token is not None
    status, text = browser.send(
        f"/jobs/{job_id}/act", csrf=token[1], why="x", action="cancel", run=uuid4()
    )

    assert status == 409
    assert "Nothing was done: finished already." in text


def test_a_waiting_job_says_why(desk: Desk, conn: Connection) -> None:
    job_id = jobs.enqueue(conn, "probe", {})
    conn.execute(
        "INSERT INTO worker.pauses (scope, name, reason) VALUES ('kind', 'probe', '<b>hot</b>')"
    )

    page = words(desk.browser("viewer").get(f"/jobs/{job_id}"))

    assert "Why it waits: No dispatcher runs" in page
    assert "Then: The kind probe is paused" in page
    assert "<b>hot</b>" in page


def test_a_running_job_shows_worker_progress_and_family(desk: Desk, conn: Connection) -> None:
    worker_id = start_worker(conn)
    jobs.enqueue(conn, "probe", {})
    job = claim_one(conn, worker_id)
    waiter = waits.enqueue_after(conn, "probe", {}, after=[job.id])
    progress: dict[str, Any] = {"done": 812, "total": 1980, "note": "page 812"}
    jobs.report_progress(conn, job_id=job.id, attempt=1, progress=Jsonb(progress))

    page = desk.browser("viewer").get(f"/jobs/{job.id}")

    assert "running, attempt 1 of 10" in words(page)
    assert '<progress value="812" max="1980"' in page
    assert f'href="/workers#{worker_id}"' in page
    assert f'href="/jobs/{waiter}"' in page
    assert "Why it waits" not in page


def test_ids_among_the_arguments_lead_to_their_pages(desk: Desk, conn: Connection) -> None:
    job_id, source_id, tenant = failed_job(conn), uuid4(), UUID(int=77)
    conn.execute(
        "UPDATE worker.jobs SET kind = 'index_source', tenant = %s, args = %s WHERE id = %s",
        (tenant, Jsonb({"source_id": str(source_id)}), job_id),
    )
    conn.execute(
        "INSERT INTO worker.schedule_ticks (schedule, fire_at, job_id)"
        " SELECT 'prune', created_at, id FROM worker.jobs WHERE id = %s", (job_id,),
    )  # fmt: skip

    page = desk.browser("viewer").get(f"/jobs/{job_id}")

    for link in (f"/knowledge/{source_id}", f"/tenants/{tenant}", "/schedules/prune"):
        assert f'href="{link}"' in page


def test_the_log_is_the_newest_attempts_and_may_be_only_warnings(
    desk: Desk, conn: Connection
) -> None:
    job_id = failed_job(conn, number=2)
    for attempt, level, message in ((1, "INFO", "old"), (2, "INFO", "calm"), (2, "WARNING", "hot")):
        conn.execute(
            "INSERT INTO worker.job_logs (job_id, attempt, at, level, logger, message)"
            " VALUES (%s, %s, now(), %s, 'x', %s)", (job_id, attempt, level, f"line-{message}"),
        )  # fmt: skip
    browser = desk.browser("viewer")

    page, warnings = browser.get(f"/jobs/{job_id}"), browser.get(f"/jobs/{job_id}?log=warnings")

    assert re.findall(r"line-\w+", page) == ["line-calm", "line-hot"]
    assert re.findall(r"line-\w+", warnings) == ["line-hot"]


@pytest.mark.parametrize("state", ["scheduled", "available", "dispatched", "retryable"])
def test_every_waiting_state_has_an_answer(desk: Desk, conn: Connection, state: str) -> None:
    job_id = jobs.enqueue(conn, "probe", {})
    conn.execute("UPDATE worker.jobs SET state = %s WHERE id = %s", (state, job_id))

    assert "Why it waits: " in desk.browser("viewer").get(f"/jobs/{job_id}")


def test_the_log_of_each_attempt_can_be_read(desk: Desk, conn: Connection) -> None:
    job_id = failed_job(conn, number=2)
    conn.execute(
        "INSERT INTO worker.job_logs (job_id, attempt, at, level, logger, message)"
        " SELECT %s, n, now(), 'INFO', 'x', 'said in attempt ' || n"
        " FROM generate_series(1, 2) AS n",
        (job_id,),
    )
    browser = desk.browser("viewer")

    newest, first = browser.get(f"/jobs/{job_id}"), browser.get(f"/jobs/{job_id}?attempt=1")

    assert ("said in attempt 2" in newest, "said in attempt 1" in newest) == (True, False)
    assert ("said in attempt 2" in first, "said in attempt 1" in first) == (False, True)
    assert f'href="/jobs/{job_id}?attempt=1"' in newest
    assert browser.get(f"/jobs/{job_id}?attempt=x")


def test_a_large_family_is_counted_by_what_became_of_it(desk: Desk, conn: Connection) -> None:
    needed = [jobs.enqueue(conn, "probe", {}) for _ in range(30)]
    job_id = waits.enqueue_after(conn, "probe", {}, after=needed)
    conn.execute("UPDATE worker.jobs SET state = 'completed' WHERE id = ANY(%s)", (needed[:10],))
    browser = desk.browser("viewer")

    page, everything = browser.get(f"/jobs/{job_id}"), browser.get(f"/jobs/{job_id}?all=1")

    assert "It needs 20 available, 10 completed." in words(page)
    assert (page.count('class="q">needs'), everything.count('class="q">needs')) == (20, 30)
