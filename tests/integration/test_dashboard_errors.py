"""Errors by what they share, and the pages that show them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from db import jobs
from db.errors import Group
from db.jobs import Finish
from db.migrate import MIGRATIONS
from db.pool import Connection
from tests.dashboard_world import Browser, Desk, open_desk
from tests.queueing import claim_one, start_worker
from workers.dashboard.pages.errors import PARTS, TRACE_LINES_MAX, judge, trace_lines

TRACE = """Traceback (most recent call last):
  File "/opt/avivro/workers/loop.py", line {line}, in run_one
    await work(job)
  File "/opt/.venv/lib/python3.11/site-packages/httpx/db/_client.py", line 99, in send
    raise error
  File "/opt/avivro/pipelines/{place}.py", line 44, in run
    raise {type}("x")
pipelines.errors.{type}: what it said
"""


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture
def browser(desk: Desk) -> Browser:
    return desk.browser("operator")


def group(conn: Connection, error: str | None, trace: str | None = None) -> str:
    row = conn.execute("SELECT worker.fingerprint(%s, %s)", (error, trace)).fetchone()
    assert row is not None
    return str(row[0])


def trace(line: int = 3, place: str = "index_source", type: str = "Permanent") -> str:
    return TRACE.format(line=line, place=place, type=type)


def fail(
    conn: Connection, error: str, *, state: str = "discarded", trace: str | None = None
) -> int:
    """A job that ran once and failed, as the engine writes it."""
    worker = start_worker(conn)
    job_id = jobs.enqueue(conn, "probe", {})
    job = claim_one(conn, worker)
    entry = {"attempt": job.attempt, "error": error, "trace": trace}
    jobs.finish_jobs(conn, [Finish(job.id, job.attempt, state, 60.0, entry)])
    return job_id


def error_group(conn: Connection, job_id: int) -> str | None:
    row = conn.execute("SELECT error_group FROM worker.jobs WHERE id = %s", (job_id,)).fetchone()
    assert row is not None
    found: str | None = row[0]
    return found


SAME = (
    ("retry after 30 s", "retry after 5.5 s"),
    ("https://a.example/x?y=1 is 12 bytes", "https://a.example/other/z is 9 bytes"),
    ("https://u:p@a.example/ fails", "https://a.example/b#c fails"),
    ("Internal error (KeyError): 'foo'", "Internal error (KeyError): 'bar baz'"),
    ('no "colour" here', 'no "taste" here'),
    ("job 3f2c1a00-aaaa-4bbb-8ccc-123456789abc", "job 00000000-0000-4000-8000-000000000001"),
    ("mail to ada@example.com", "mail to b.o.b@mail.example.org"),
    ("at 0xdeadbeef", "at 0x1"),
    ("\x1b[31mred\x1b[0m 1", "red 2"),
    ("file 805f743866591cb5654b0462e0f5f304", "file a5db0e46"),
    ("user 123 not found", "user 123456789012 not found"),
    ("cannot open /var/lib/a/b.txt", "cannot open /tmp/x"),
    (r"C:\Users\ada\b.txt: denied", r"C:\Users\bob\q.txt: denied"),
    ("at 2026-11-23T10:00:00Z late", "at 2025-01-02 03:04:05.678+02:00 late"),
    ("[fe80::1]:5432 refused", "[2001:db8::ff]:80 refused"),
    ("token abcDEF123456789xyz", "token ZZZ999aaa111bbb222"),
    ("Datei „a.txt“ fehlt", "Datei „b c“ fehlt"),
    ("Fichier « a » absent", "Fichier « b\u00a0c » absent"),
    ("ファイル 123 が見つかりません", "ファイル 99 が見つかりません"),
    ("one\nuser 1 failed", "one\nuser 2 failed"),
    (f"bad '{'a' * 5_000}'", f"bad '{'b' * 4_000}'"),
)
APART = (
    ("Drive is busy (HTTP 503)", "Drive is busy (HTTP 404)"),
    ("https://a.example/ fails", "https://b.example/ fails"),
    ("too large", "too slow"),
    ("it returned 404", "it returned 500"),
    ("нет доступа", "не найден"),
    ("one\ntwo", "one\nthree"),
)


def test_what_differs_from_job_to_job_is_masked(conn: Connection) -> None:
    assert [pair for pair in SAME if group(conn, pair[0]) != group(conn, pair[1])] == []


def test_what_tells_troubles_apart_is_kept(conn: Connection) -> None:
    assert [pair for pair in APART if group(conn, pair[0]) == group(conn, pair[1])] == []


def test_line_numbers_and_frames_of_others_do_not_count(conn: Connection) -> None:
    same = {group(conn, "x", trace(line=line)) for line in (1, 99)}
    moved = trace().replace("httpx/db/_client", "urllib3/db/pool")

    assert same == {group(conn, "x", moved)}


def test_the_place_and_the_type_count(conn: Connection) -> None:
    groups = {
        group(conn, "x", trace()),
        group(conn, "x", trace(place="crawl_site")),
        group(conn, "x", trace(type="Transient")),
    }

    assert len(groups) == 3


def test_any_error_has_a_fingerprint(conn: Connection) -> None:
    for text in (None, "", "'" * 9_000, "a" * 1_000_000, "\u202e<b>", 'File "' * 900):
        assert len(group(conn, text, text)) == 12


def test_groups_of_before_are_those_of_now_after_an_upgrade(conn: Connection) -> None:
    job_id = fail(conn, "user 123456789 not found", trace=trace())
    conn.execute("UPDATE worker.jobs SET error_group = 'of before' WHERE id = %s", (job_id,))
    path = MIGRATIONS / "20250208000300_mask_more_of_errors.sql"

    conn.execute(path.read_text())

    assert error_group(conn, job_id) == group(conn, "user 1 not found", trace())


def test_a_job_that_fails_gets_its_group_and_one_that_completes_none(conn: Connection) -> None:
    discarded = fail(conn, "retry after 30 s", trace=trace())
    retryable = fail(conn, "retry after 5 s", state="retryable", trace=trace(line=8))
    worker = start_worker(conn)
    completed = jobs.enqueue(conn, "probe", {})
    job = claim_one(conn, worker)
    jobs.finish_jobs(conn, [Finish(job.id, job.attempt, "completed")])

    assert error_group(conn, discarded) == group(conn, "retry after 1 s", trace())
    assert error_group(conn, retryable) == error_group(conn, discarded)
    assert error_group(conn, completed) is None


def test_groups_are_listed_by_the_jobs_they_hit(conn: Connection, browser: Browser) -> None:
    rare = error_group(conn, fail(conn, "rare"))
    often, *_ = [error_group(conn, fail(conn, f"often {number}")) for number in range(3)]
    fail(conn, "often 9", state="retryable")

    page = browser.get("/errors")

    assert page.index(f"/errors/{often}") < page.index(f"/errors/{rare}")
    assert "<b>4</b>" in page
    assert "1 to retry" in page
    assert "2 new" in page


def test_a_group_shows_its_trace_and_leads_to_its_jobs(conn: Connection, browser: Browser) -> None:
    fingerprint = error_group(conn, fail(conn, "too large", trace=trace()))

    page = browser.get(f"/errors/{fingerprint}")

    assert "in run_one" in page
    assert "<mark>pipelines.errors.Permanent: what it said</mark>" in page
    assert (
        f"/jobs?q=group%3A{fingerprint}+state%3Adiscarded%2Cretryable&amp;preview=retry&amp;all=1"
        in page
    )
    assert (
        browser.get(f"/jobs?q=group:{fingerprint}&preview=retry&all=1").count("become available")
        == 1
    )


def test_hostile_errors_are_shown_harmless(conn: Connection, browser: Browser) -> None:
    text = "<img src=x onerror=alert(1)>\u202e\x1b[31m'\"" + "B" * 900_000
    fingerprint = error_group(conn, fail(conn, text, trace=text + "\n" + text))

    for page in (browser.get("/errors"), browser.get(f"/errors/{fingerprint}")):
        assert "<img" not in page
        assert "\u202e" not in page
        assert "\x1b" not in page
        assert len(page) < 60_000


def test_an_unknown_group_or_window_is_refused(browser: Browser) -> None:
    paths = ("/errors/0123456789ab", "/errors/'--", "/errors?window=1y")

    assert [browser.status(path) for path in paths] == [404, 404, 400]


NOW = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("first_at", "counts", "verdict"),
    [
        (NOW, [0] * (PARTS - 1) + [1], "new"),
        (NOW - timedelta(days=2), [0] * (PARTS - 2) + [3, 3], "surging"),
        (NOW - timedelta(days=2), [2] * PARTS, "steady"),
        (NOW - timedelta(days=2), [0] * (PARTS - 1) + [2], "steady"),
        (None, [0] * PARTS, "steady"),
    ],
)
def test_a_group_is_judged_by_its_first_time_and_its_newest_rate(
    first_at: datetime | None, counts: list[int], verdict: str
) -> None:
    found: dict[str, Any] = {
        "fingerprint": "0" * 12, "jobs": 1, "retrying": 0, "last_at": NOW, "kinds": [], "error": "",
        "type": "", "most_hit": [], "tenants": 0,
    }  # fmt: skip

    judged = judge(Group(first_at=first_at, counts=counts, **found), since=NOW - timedelta(hours=1))

    assert judged == verdict


def test_a_long_trace_keeps_its_end() -> None:
    lines = trace_lines("\n".join(f"  line {number}" for number in range(500)))

    assert len(lines) == TRACE_LINES_MAX + 1
    assert lines[-1].text.strip() == "line 499"


def test_what_others_than_workers_wrote_is_grouped_when_somebody_looks(
    conn: Connection, browser: Browser
) -> None:
    for error in ("user 1 not found", "user 2 not found", "Discarded by an operator: why"):
        conn.execute(
            "INSERT INTO worker.jobs (kind, queue, state, max_attempts, finished_at, errors)"
            " VALUES ('probe', 'default', 'discarded', 3, now(), %s)",
            (Jsonb([{"attempt": 3, "error": error, "trace": None}]),),
        )

    page = browser.get("/errors")

    found = group(conn, "user 3 not found", None)
    assert re.findall(r'id="group-(\w+)"', page) == [found]
    assert "1 more job is in no group" in page
    assert browser.get(f"/errors/{found}")
