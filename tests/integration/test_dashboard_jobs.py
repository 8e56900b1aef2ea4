"""The list of jobs and what is done to many of them, as an operator's browser sees it."""

import html
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest

from db import bulk as bulk_rows
from db import jobs
from db.jobs import Finish
from db.pool import Connection, connect
from tests.dashboard_world import Browser, Desk, open_desk
from tests.queueing import dispatch, start_worker, state
from workers.dashboard import bulk, job_view
from workers.dashboard.pages import jobs as jobs_page

HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')
BULK_FORM = re.compile(r'<form method="post" action="/jobs/bulk".*?</form>', re.DOTALL)
SENDS_MAX = 5
ROW = re.compile(r'id="job-(\d+)"')


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture
def browser(desk: Desk) -> Browser:
    return desk.browser("operator")


def discard(conn: Connection, number: int, error: str = "boom", **columns: Any) -> list[int]:
    """Finished without success: probes of the queue default."""
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", %({name})s" for name in columns)
    return [
        row[0]
        for row in conn.execute(
            f"INSERT INTO worker.jobs (kind, queue, state, attempt, max_attempts, errors,"
            f" finished_at{names}) SELECT 'probe', 'default', 'discarded', 3, 3, jsonb_build_array("
            f"jsonb_build_object('error', %(error)s::text)), clock_timestamp(){values}"
            f" FROM generate_series(1, %(number)s) RETURNING id".encode(),
            {"error": error, "number": number, **columns},
        ).fetchall()
    ]


def preview(browser: Browser, address: str) -> dict[str, str]:
    """The fields of the form that a preview offers; empty where it offers none."""
    found = BULK_FORM.search(browser.get(address))
    return {} if found is None else {k: html.unescape(v) for k, v in HIDDEN.findall(found[0])}


def send(browser: Browser, fields: dict[str, str], **more: object) -> str:
    """The form as it was offered, with a reason; where it leads to."""
    status, text = browser.send("/jobs/bulk", **{"why": "because a test asks", **fields, **more})
    assert status == 303, text[:3000]
    return text


def send_again(browser: Browser, fields: dict[str, str], **more: object) -> None:
    """As an operator does who is told that others hold these jobs."""
    for _ in range(SENDS_MAX):
        status, text = browser.send("/jobs/bulk", **{"why": "because", **fields, **more})
        if status != 503:
            break
    assert status == 303, text[:3000]


def shown(page: str) -> list[int]:
    return [int(number) for number in ROW.findall(page)]


def states(conn: Connection, ids: list[int]) -> Counter[str]:
    return Counter(state(conn, job_id) for job_id in ids)


# The list.


def test_jobs_are_listed_newest_first_and_a_page_at_a_time(
    conn: Connection, browser: Browser
) -> None:
    ids = discard(conn, 25)

    page = browser.get("/jobs?q=state:discarded")
    following = re.search(r'rel="next" href="([^"]+)"', page)

    assert shown(page) == ids[:4:-1]
    assert following is not None
    assert shown(browser.get(html.unescape(following[1]))) == ids[4::-1]


def test_a_condition_that_is_added_becomes_part_of_the_address(browser: Browser) -> None:
    answer = browser.client.get("/jobs?q=kind:probe&add=  state:discarded ")

    assert answer.status_code == 303
    assert answer.headers["location"] == "/jobs?q=kind%3Aprobe+state%3Adiscarded"


def test_what_cannot_be_read_is_said_beside_the_line(browser: Browser) -> None:
    answer = browser.client.get("/jobs?q=kin:probe")

    assert answer.status_code == 400
    assert "unknown field &#39;kin&#39;, did you mean kind?" in answer.text
    assert 'value="kin:probe"' in answer.text


HOSTILE = (
    "'; DROP TABLE worker.jobs; --", 'error:"%_\\\\"', "args.\"a'b\".c:\"' OR 1=1 --\"",
    "\u202e\u0000", "x" * 10_000, '"' * 5_000, "error:<script>alert(1)</script>",
    "%(ids)s %s", "id:1);--", "a:" * 900, 'unique:"{}"', 'args.x:"{1,2}"', "about:{",
    "error:\U0001f4a9", "-" * 300, "args.\"{a,b}\":1", "id>9223372036854775807",
    "attempt>2147483647", "-priority<-2147483647", "created<2199-12-31T23:59", "age>3650d",
)  # fmt: skip


def test_hostile_filters_break_nothing(browser: Browser) -> None:
    for text in HOSTILE:
        answer = browser.client.get(f"/jobs?q={quote(text)}")
        offered = browser.client.get(f"/jobs/suggest?q={quote(text)}")

        assert answer.status_code in (200, 400), text
        assert "<script>alert" not in answer.text
        assert offered.status_code in (200, 400), text


def test_an_address_that_is_not_ours_is_refused(browser: Browser) -> None:
    queries = ("after=x", "after=1~y", "after=1~0001-01-01", "limit=9999", "preview=drop",
               "id=1;2", "pace=-1", "after=99999999999999999999")  # fmt: skip

    assert [browser.status(f"/jobs?{query}") for query in queries] == [400] * len(queries)


def test_an_empty_list_says_which_condition_excludes_all(
    conn: Connection, browser: Browser
) -> None:
    discard(conn, 3)

    page = browser.get("/jobs?q=state:discarded age>10m")

    assert "No job matches all of this" in page
    assert re.search(r"Without <span class=\"chip\">age&gt;10m.*?3\s+matches", page, re.DOTALL)


def test_tabs_count_states_with_the_other_conditions(conn: Connection, browser: Browser) -> None:
    discard(conn, 3, "rate limit")
    discard(conn, 2, "other")
    jobs.enqueue(conn, "probe", {})

    page = browser.get("/jobs?q=state:available error:rate")

    counts = dict(re.findall(r'href="#i-(\w+)"/></svg>\w+\s+<b>([\d,+]+)</b>', page))
    assert (counts["discarded"], counts["available"]) == ("3", "0")


def test_errors_that_hold_markup_or_turn_the_line_are_shown_harmless(
    conn: Connection, browser: Browser
) -> None:
    discard(conn, 1, "<img src=x onerror=alert(1)>\u202e\x1b[31m" + "A" * 1_000_000)

    page = browser.get("/jobs")

    assert "<img" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert len(page) < 60_000


def test_suggestions_know_kinds_states_and_recent_tenants(
    conn: Connection, browser: Browser
) -> None:
    tenant = UUID(int=77)
    discard(conn, 1, tenant=tenant)

    assert 'value="kind:probe"' in browser.get("/jobs/suggest?q=kind:pro")
    assert 'value="state:discarded"' in browser.get("/jobs/suggest?add=state:disc")
    assert f'value="tenant:{tenant}"' in browser.get("/jobs/suggest?add=tenant:")


# Acting.


def test_a_preview_says_what_changes_and_changes_nothing(
    conn: Connection, browser: Browser
) -> None:
    ids = discard(conn, 3)
    ids.append(jobs.enqueue(conn, "probe", {}))

    page = browser.get("/jobs?q=kind:probe&preview=retry&all=1")

    assert re.search(r"<b>3</b> become available again", page)
    assert re.search(r"<b>1</b> skipped: waiting to run already", page)
    assert states(conn, ids) == {"discarded": 3, "available": 1}


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

    deadlocks = conn.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    assert deadlocks == (0,)
    left = conn.execute(
        "SELECT count(*) FROM worker.jobs WHERE (finished_at IS NULL) = (state IN"
        " ('completed', 'discarded', 'cancelled'))"
    ).fetchone()
    assert left == (0,)


def end(job_id: int, attempt: int) -> Finish:
    failed = job_id % 3 == 0
    return Finish(
        job_id,
        attempt,
        "discarded" if failed else "completed",
        error={"attempt": attempt, "error": "boom 5", "trace": None} if failed else None,
    )


def run_all(works: list[Callable[[], object]]) -> None:
    """Each in its own thread; raises what one of them raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised below, where pytest sees it
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    if errors:
        raise errors[0]


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


def test_the_page_offers_filters_that_can_be_read(browser: Browser) -> None:
    for _, text in jobs_page.READY:
        browser.get(f"/jobs?q={quote(text)}")
