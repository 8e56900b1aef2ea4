"""The Audit page: who did what, when, and why."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from db import audit
from db.audit import Wanted
from db.pool import Connection
from tests.dashboard_world import Browser, Desk, open_desk
from workers.dashboard.pages.audit import ROWS_MAX, as_cell

ENTRY = re.compile(r'id="e(\d+)"')


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


def note(conn: Connection, **fields: object) -> int:
    entry = {
        "operator": "ada",
        "role": "operator",
        "action": "retry_jobs",
        "target": "job 7",
        "why": "fixed",
        "details": {},
        **fields,
    }
    return audit.append(conn, **entry)  # type: ignore[arg-type]


def ids(page: str) -> list[int]:
    return [int(found) for found in ENTRY.findall(page)]


def test_the_newest_entry_comes_first_with_its_details(desk: Desk, conn: Connection) -> None:
    old = note(conn)
    new = note(conn, operator="eve", why="by hand", details={"jobs": 12, "kind": "probe"})

    page = desk.browser("viewer").get("/audit")

    assert ids(page) == [new, old]
    for text in ("eve", "by hand", "<dt>jobs</dt>", "<dd>12</dd>", "refuses to change or delete"):
        assert text in page


def test_what_is_sent_twice_leaves_one_entry(desk: Desk, conn: Connection) -> None:
    tenant, worker = uuid4(), uuid4()
    conn.execute(
        "INSERT INTO worker.processes (id, role, host, pid, queues, expires_at)"
        " VALUES (%s, 'worker', 'a', 1, '{}', now() + interval '1 hour')",
        (worker,),
    )
    sent: list[tuple[str, dict[str, Any]]] = [
        ("/queues/pause", {"scope": "queue", "name": "email"}),
        ("/tenants/pause", {"tenant": tenant}),
        ("/tenants/weigh", {"tenant": tenant, "weight": "2"}),
        ("/schedules/prune/pause", {}),
        ("/schedules/prune/edit", {"cron": "30 2 * * mon"}),
        ("/schedules/prune/reset", {}),
        ("/schedules/prune/resume", {}),
        ("/workers/drain", {"id": worker}),
    ]
    ada = desk.browser("operator", "ada")

    for path, fields in sent:
        ada.post(path, **fields)
        ada.post(path, **fields)

    entries = audit.search(conn, Wanted(operator="ada"), before=None, rows_max=50).entries
    assert [entry.action for entry in reversed(entries)] == [
        *("pause_queue", "pause_tenant", "set_weight", "pause_schedule"),
        *("edit_schedule", "reset_schedule", "resume_schedule", "drain_worker"),
    ]


def test_what_a_page_sends_twice_is_done_once_and_again_from_a_fresh_one(
    desk: Desk, conn: Connection
) -> None:
    ada = desk.browser("operator", "ada")

    def press(page: str) -> None:
        token = page.partition('name="csrf" value="')[2].partition('"')[0]
        ada.send("/schedules/prune/run", csrf=token, why="x", next="/audit")

    page = ada.get("/schedules")
    press(page)
    press(page)
    notice = ada.get("/audit")
    once = audit.search(conn, Wanted(action="run_schedule"), before=None, rows_max=9).entries
    press(ada.get("/schedules"))
    twice = audit.search(conn, Wanted(action="run_schedule"), before=None, rows_max=9).entries

    assert "This form was sent before: nothing was done twice." in notice
    assert (len(once), len(twice)) == (1, 2)


def test_another_reason_for_a_pause_is_an_entry_of_its_own(desk: Desk, conn: Connection) -> None:
    ada, eve = desk.browser("operator", "ada"), desk.browser("operator", "eve")

    for browser, why in ((ada, "incident 7"), (ada, "incident 8"), (eve, "incident 8")):
        browser.post("/queues/pause", scope="queue", name="email", why=why)

    entries = audit.search(conn, Wanted(), before=None, rows_max=9).entries
    assert [(entry.operator, entry.why) for entry in entries] == [
        ("eve", "incident 8"),
        ("ada", "incident 8"),
        ("ada", "incident 7"),
    ]


def test_conditions_narrow_what_is_shown(desk: Desk, conn: Connection) -> None:
    mine = note(conn, operator="ada", action="pause_queue", target="queue knowledge_50%")
    other = note(conn, operator="eve", action="retry_jobs", target="job 8")
    browser = desk.browser("viewer")
    today = f"{datetime.now(UTC):%Y-%m-%d}"

    found = {
        query: ids(browser.get(f"/audit?{query}"))
        for query in (
            "operator=ada",
            "action=retry_jobs",
            "target=KNOWLEDGE_50%25",
            "target=_",
            "target=%25",
            f"since={today}&until={today}",
            "since=2001-01-01&until=2001-01-02",
            "operator=ada&action=retry_jobs",
        )
    }

    assert found == {
        "operator=ada": [mine],
        "action=retry_jobs": [other],
        "target=KNOWLEDGE_50%25": [mine],
        "target=_": [mine],
        "target=%25": [mine],
        f"since={today}&until={today}": [other, mine],
        "since=2001-01-01&until=2001-01-02": [],
        "operator=ada&action=retry_jobs": [],
    }


def test_pages_go_back_without_gaps_or_repeats(desk: Desk, conn: Connection) -> None:
    made = [note(conn) for _ in range(ROWS_MAX * 2 + 3)]
    browser = desk.browser("viewer")

    seen, path = [], "/audit?operator=ada"
    while True:
        page = browser.get(path)
        seen += ids(page)
        older = re.search(r'href="(/audit\?[^"]*before=\d+)"', page)
        if older is None:
            break
        path = older[1].replace("&amp;", "&")

    assert seen == made[::-1]


def test_a_long_log_is_looked_at_in_pieces(
    desk: Desk, conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = note(conn, operator="rare")
    for _ in range(30):
        note(conn)
    monkeypatch.setattr("db.audit.SCANNED_MAX", 20)
    browser = desk.browser("viewer")

    page = browser.get("/audit?operator=rare")
    further = re.search(r'href="([^"]*before=\d+)"[^>]*>\s*Look further back', page)

    assert ids(page) == []
    assert further is not None
    assert ids(browser.get(further[1].replace("&amp;", "&"))) == [rare]


def test_what_operators_typed_is_shown_as_text(desk: Desk, conn: Connection) -> None:
    evil = "<script>alert(1)</script>\u202e"
    note(conn, operator=evil, action=evil, target=evil * 20, why=evil, details={evil: [evil] * 500})

    page = desk.browser("viewer").get("/audit?target=%22%3E%3Cscript%3E")
    full = desk.browser("viewer").get("/audit")

    assert "<script>alert" not in page + full
    assert '"><script>' not in page
    assert "&lt;script&gt;alert(1)" in full
    assert len(full) < 100_000


def test_the_export_is_safe_to_open_in_a_spreadsheet(desk: Desk, conn: Connection) -> None:
    texts = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a "quoted", text', "line\nbreak"]
    for text in texts:
        note(conn, why=text)

    answer = desk.browser("admin").client.get("/audit/export?operator=ada")

    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    whys = [row["why"] for row in reversed(rows)]
    assert whys == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", *texts[5:]]


def test_only_admins_export(desk: Desk) -> None:
    assert desk.browser("operator").status("/audit/export") == 403
    assert "Export" not in desk.browser("operator").get("/audit")
    assert "Export" in desk.browser("admin").get("/audit")


def test_numbers_and_texts_of_cells_stay_themselves() -> None:
    assert [as_cell(value) for value in (7, "job 7", {"a": 1})] == ["7", "job 7", '{"a": 1}']


def test_an_empty_log_teaches_what_will_be_there(desk: Desk) -> None:
    browser = desk.browser("viewer")

    assert "Nobody has done anything yet" in browser.get("/audit")
    assert "No entry matches" in browser.get("/audit?operator=nobody")


def test_filling_names_and_actions_in_skips_through_the_index(conn: Connection) -> None:
    for n in range(20):
        note(conn, operator=f"operator-{n % 3}", action=f"action_{n % 2}")

    assert audit.list_names(conn) == ["operator-0", "operator-1", "operator-2"]
    assert audit.list_actions(conn) == ["action_0", "action_1"]
    assert audit.search(conn, Wanted(), before=None, rows_max=3).before is not None


def refused(browser: Browser, query: str) -> bool:
    return browser.status(f"/audit?{query}") == 400


def test_what_is_no_condition_is_refused_in_words(desk: Desk) -> None:
    browser = desk.browser("viewer")

    queries = (
        "since=tomorrow",
        "until=2026-13-01",
        "before=x",
        f"target={'x' * 501}",
        "until=0001-01-01",
    )
    assert [refused(browser, query) for query in queries] == [True] * len(queries)
