"""What is done to many jobs at once, as an operator's browser does it."""

import html
import re
import threading
from collections.abc import Iterator
from uuid import UUID

import pytest

from db import bulk as bulk_rows
from db import jobs, lanes
from db.jobs import Finish
from db.pool import Connection, connect
from tests.bulk_desk import discard, preview, run_all, send, send_again, states
from tests.dashboard_world import Browser, Desk, open_desk
from tests.queueing import dispatch, start_worker, state
from workers.dashboard import bulk, job_search, job_view


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture
def browser(desk: Desk) -> Browser:
    return desk.browser("operator")


def test_a_preview_says_what_changes_and_changes_nothing(
    conn: Connection, browser: Browser
) -> None:
    ids = discard(conn, 3)
    ids.append(jobs.enqueue(conn, "probe", {}))

    page = browser.get("/jobs?q=kind:probe&preview=retry&all=1")

    assert re.search(r"<b>3</b> become available again", page)
    assert re.search(r"<b>1</b> skipped: waiting to run already", page)
    assert states(conn, ids) == {"discarded": 3, "available": 1}


@pytest.mark.parametrize(("action", "waits"), [("retry", True), ("cancel", False)])
def test_a_preview_says_where_jobs_will_wait(
    conn: Connection, browser: Browser, action: str, waits: bool
) -> None:
    discard(conn, 1)
    jobs.enqueue(conn, "probe", {})
    lanes.pause(conn, scope="kind", name="probe")

    page = browser.get(f"/jobs?q=kind:probe&preview={action}&all=1")

    assert ("There they wait" in page) == waits


def test_jobs_that_came_after_the_preview_are_not_touched(
    conn: Connection, browser: Browser
) -> None:
    ids = discard(conn, 3)
    form = preview(browser, "/jobs?q=state:discarded&preview=retry&all=1")
    late = discard(conn, 2)

    send(browser, form)

    assert states(conn, ids) == {"available": 3}
    assert states(conn, late) == {"discarded": 2}


def test_each_action_does_what_it_says(conn: Connection, browser: Browser) -> None:
    waiting = [jobs.enqueue(conn, "probe", {}) for _ in range(3)]
    (given_up,) = discard(conn, 1)

    send(browser, preview(browser, f"/jobs?preview=cancel&id={waiting[0]}"))
    send(browser, preview(browser, f"/jobs?preview=discard&id={waiting[1]}"))
    send(browser, preview(browser, f"/jobs?preview=priority&id={waiting[2]}"), priority=-5)
    send(browser, preview(browser, f"/jobs?preview=replay&id={given_up}"))

    assert [state(conn, job_id) for job_id in waiting] == ["cancelled", "discarded", "available"]
    discarded = jobs.get_job(conn, waiting[1])
    assert discarded is not None
    assert discarded.errors[-1]["error"] == "Discarded by an operator: because a test asks"
    moved = jobs.get_job(conn, waiting[2])
    assert moved is not None
    assert moved.priority == -5
    assert state(conn, given_up) == "discarded"
    assert [job.state for job in jobs.list_jobs(conn, kind="probe") if job.id > given_up] == [
        "available"
    ]


def test_a_form_sent_twice_does_everything_once(conn: Connection, browser: Browser) -> None:
    (job_id,) = discard(conn, 1)
    form = preview(browser, f"/jobs?preview=replay&id={job_id}")

    send(browser, form)
    send(browser, form)

    copies = [job.id for job in jobs.list_jobs(conn, kind="probe") if job.id > job_id]
    noted = conn.execute("SELECT details ->> 'changed' FROM worker.audit_log").fetchall()
    assert len(copies) == 1
    assert noted == [("1",)]


def test_a_form_sent_twice_at_once_does_everything_once(conn: Connection, browser: Browser) -> None:
    discard(conn, 40)
    form = preview(browser, "/jobs?q=state:discarded&preview=replay&all=1")

    run_all([lambda: send(browser, form) for _ in range(4)])

    copies = conn.execute("SELECT count(*) FROM worker.jobs WHERE state = 'available'").fetchone()
    assert copies == (40,)


def test_a_paced_retry_starts_the_oldest_first(conn: Connection, browser: Browser) -> None:
    ids = discard(conn, 3)
    form = preview(browser, "/jobs?q=state:discarded&preview=retry&all=1&pace=30")

    send(browser, form)

    starts = conn.execute(
        "SELECT round(extract(epoch FROM run_at - min(run_at) OVER ())), state FROM worker.jobs"
        " ORDER BY id"
    ).fetchall()
    assert [(int(delay), name) for delay, name in starts] == [
        (0, "available"), (2, "scheduled"), (4, "scheduled"),
    ]  # fmt: skip
    assert len(ids) == 3


def test_more_than_the_cap_takes_the_newest_and_says_so(
    conn: Connection, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_view, "BULK_MAX", 5)
    ids = discard(conn, 8)

    page = browser.get("/jobs?q=state:discarded&preview=retry&all=1")
    form = preview(browser, "/jobs?q=state:discarded&preview=retry&all=1")
    send(browser, form)

    assert "these are the newest" in page
    assert states(conn, ids[3:]) == {"available": 5}
    assert states(conn, ids[:3]) == {"discarded": 3}


def test_a_sent_list_beyond_the_cap_is_refused(browser: Browser) -> None:
    form = {
        "action": "retry",
        "ids": bulk.pack(range(1, bulk.BULK_MAX + 2)),
        "run": str(UUID(int=1)),
    }

    status, text = browser.send(
        "/jobs/bulk", **form, csrf=browser.token, why="x", pace=0, next="/jobs"
    )

    assert (status, "at most 10000" in text) == (400, True)


def test_many_jobs_are_changed_only_with_the_number_typed(
    conn: Connection, browser: Browser
) -> None:
    ids = discard(conn, bulk.TYPED_FROM + 5)
    form = preview(browser, "/jobs?q=state:discarded&preview=retry&all=1")

    refused = browser.send("/jobs/bulk", **form, why="x")
    send(browser, form, sure=str(len(ids)))

    assert refused[0] == 400
    counted = conn.execute("SELECT state, count(*) FROM worker.jobs GROUP BY state").fetchall()
    assert counted == [("available", len(ids))]
    parts = conn.execute(
        "SELECT details ->> 'part', (details ->> 'changed')::int, target FROM worker.audit_log"
        " ORDER BY id"
    ).fetchall()
    assert parts == [
        ("1 of 2", bulk.PART_MAX, "jobs state:discarded"), ("2 of 2", 5, "jobs state:discarded"),
    ]  # fmt: skip


def test_of_equal_jobs_one_is_put_back_and_the_rest_is_said(
    conn: Connection, browser: Browser
) -> None:
    ids = discard(conn, 3, unique_key="same")

    page = browser.get("/jobs?q=state:discarded&preview=retry&all=1")
    send(browser, preview(browser, "/jobs?q=state:discarded&preview=retry&all=1"))

    assert re.search(r"<b>2</b> skipped: a newer equal job is among these", page)
    assert [state(conn, job_id) for job_id in ids] == ["discarded", "discarded", "available"]


def test_what_no_worker_takes_any_more_is_not_put_back(conn: Connection, browser: Browser) -> None:
    given_up = discard(conn, 2)
    conn.execute("UPDATE worker.jobs SET args = '{\"gone\": 1}' WHERE id = %s", (given_up[0],))

    page = browser.get("/jobs?q=state:discarded&preview=retry&all=1")
    send(browser, preview(browser, "/jobs?q=state:discarded&preview=retry&all=1"))

    assert re.search(r"<b>1</b> skipped: of a kind or with arguments that no worker takes", page)
    assert [state(conn, job_id) for job_id in given_up] == ["discarded", "available"]


def test_a_preview_that_stops_looking_says_so_and_offers_to_look_longer(
    conn: Connection, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    (old,) = discard(conn, 1, error="old")
    discard(conn, 5)
    monkeypatch.setattr(job_search, "GATHER_S_MAX", 0.0)
    monkeypatch.setattr(job_search, "STEP_ROWS_MIN", 2)

    page = browser.get("/jobs?q=error:old&preview=retry&all=1&pace=9")
    (longer,) = re.findall(r'href="([^"]*)">look for some seconds', page)

    assert "Looked at <b>2</b> jobs and then" in page
    assert preview(browser, html.unescape(longer))["ids"] == str(old)
    assert "pace=9" in longer


def test_arguments_are_judged_as_they_would_be_when_enqueued(conn: Connection) -> None:
    values = [
        "{}", "[]", "null", '"a"', "7", '{"effect": "a"}', '{"effect": null}', '{"effect": ["a"]}',
        '{"crash": true}', '{"crash": "true"}', '{"cpu_ms": 5}', '{"cpu_ms": 1.0}',
        '{"cpu_ms": 9999999999}', '{"effect": "a", "cpu_ms": 5}', '{"effect": "a", "other": 1}',
        *(
            f'{{"{name}": {value}{more}}}'
            for name in ("source_id", "delivery_id", "webhook_id")
            for value in (f'"{UUID(int=7)}"', f'["{UUID(int=7)}"]', '"7"', "7", "null")
            for more in ("", ', "model": "a"', ', "model": 1')
        ),
    ]  # fmt: skip
    kinds = ["probe", "prune", "index_source", "embed_again", "deliver_webhook", "unknown"]
    rows = conn.execute(
        "INSERT INTO worker.jobs (kind, queue, args, max_attempts)"
        " SELECT k, 'default', a::jsonb, 1"
        " FROM unnest(%s::text[]) AS k, unnest(%s::text[]) AS a RETURNING id,"
        " (SELECT worker.args_problem(w.args, jobs.args) FROM worker.kinds AS w"
        "  WHERE w.kind = jobs.kind) IS NULL AND kind <> 'unknown'",
        (kinds, values),
    ).fetchall()

    found = bulk_rows.judge_jobs(conn, [job_id for job_id, _ in rows], fit=True)

    fit = {job_id for job_id, is_fit in rows if is_fit}
    assert 0 < len(fit) < len(rows)
    assert fit == {job_id for group in found if not group.unfit for job_id in group.ids}


def test_a_viewer_sees_jobs_and_cannot_change_them(conn: Connection, desk: Desk) -> None:
    ids = discard(conn, 1)
    viewer = desk.browser("viewer")

    page = viewer.get("/jobs?preview=retry&all=1")
    status, _ = viewer.send(
        "/jobs/bulk", csrf=viewer.token, action="retry", ids=ids[0], run=UUID(int=1), why="x"
    )

    assert "/jobs/bulk" not in page
    assert status == 403
    assert states(conn, ids) == {"discarded": 1}


def test_a_form_of_another_site_changes_nothing(conn: Connection, browser: Browser) -> None:
    ids = discard(conn, 1)
    form = preview(browser, "/jobs?q=state:discarded&preview=retry&all=1")

    status, _ = browser.send("/jobs/bulk", **{**form, "csrf": "0" * 64}, why="x")

    assert status == 403
    assert states(conn, ids) == {"discarded": 1}


def test_bulk_actions_and_a_working_engine_never_wait_crosswise(
    conn: Connection, browser: Browser, database_url: str
) -> None:
    worker = start_worker(conn)
    jobs.enqueue_many(conn, "probe", [{}] * 1_200)
    stop = threading.Event()

    def work() -> None:
        with connect(database_url, autocommit=True) as own:
            while not stop.is_set():
                with own.transaction():
                    tickets = dispatch(own, room=40)
                with own.transaction():
                    held = jobs.claim_jobs(own, tickets, worker_id=worker)
                jobs.finish_jobs(own, [end(job.id, job.attempt) for job in held])

    def press() -> None:
        for action in ("priority", "retry", "discard", "retry", "cancel", "retry", "replay"):
            form = preview(browser, f"/jobs?q=kind:probe+id<=1000&preview={action}&all=1")
            if form:
                send_again(browser, form, priority=1, sure=str(len(bulk.unpack(form["ids"]))))

    workers = [threading.Thread(target=work) for _ in range(2)]
    for each in workers:
        each.start()
    try:
        run_all([press, press])
    finally:
        stop.set()
        for each in workers:
            each.join(20)

    assert count_deadlocks(conn) == (0,)
    assert count_half_ended(conn) == (0,)


def count_deadlocks(conn: Connection) -> object:
    return conn.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()


def count_half_ended(conn: Connection) -> object:
    """Whose state and time of the end contradict each other."""
    return conn.execute(
        "SELECT count(*) FROM worker.jobs WHERE (finished_at IS NULL) = (state IN"
        " ('completed', 'discarded', 'cancelled'))"
    ).fetchone()


def end(job_id: int, attempt: int) -> Finish:
    failed = job_id % 3 == 0
    return Finish(
        job_id,
        attempt,
        "discarded" if failed else "completed",
        error={"attempt": attempt, "error": "boom 5", "trace": None} if failed else None,
    )


def test_a_part_that_others_hold_is_said_and_can_be_sent_again(
    conn: Connection, browser: Browser, database_url: str
) -> None:
    ids = discard(conn, 2)
    form = preview(browser, "/jobs?q=state:discarded&preview=retry&all=1")

    with connect(database_url) as other:
        bulk_rows.lock_jobs(other, ids)
        refused, text = browser.send("/jobs/bulk", **form, why="x")
    send(browser, form)

    assert (refused, "0 of 1 parts are done" in text) == (503, True)
    assert states(conn, ids) == {"available": 2}
