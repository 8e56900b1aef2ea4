"""The page of schedules: what is late, what comes next, and what operators press."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from db import jobs, schedules
from db.pool import Connection, connect
from schedules import operating
from schedules.clock import Clock, announce
from schedules.timetable import TIMETABLE
from tests.dashboard_world import Desk, open_desk

HOUR = timedelta(hours=1)


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture(autouse=True)
def known(conn: Connection) -> None:
    """The timetable, hours ago."""
    announce(conn, TIMETABLE, now=schedules.read_clock(conn) - 5 * HOUR)


def row(page: str, name: str) -> str:
    found = re.search(rf'<tr role="row" data-row id="s-{name}">.*?</tr>', page, re.S)
    assert found is not None, name
    return re.sub(r"\s+", " ", found[0])


def noted(conn: Connection, action: str) -> list[tuple[str, str, str, dict[str, object]]]:
    return conn.execute(
        "SELECT operator, target, why, details FROM worker.audit_log WHERE action = %s", (action,)
    ).fetchall()


def crons(conn: Connection) -> dict[str, tuple[str, str]]:
    return {e.name: (e.cron, e.cron_default) for e in operating.list_entries(conn)}


def test_what_nobody_fired_is_late_and_the_banner_says_why(desk: Desk) -> None:
    page = desk.browser("viewer").get("/schedules")

    assert "No scheduler runs" in page
    assert "avivro scheduler" in page
    assert "st-late" in row(page, "prune")
    assert "4." in row(page, "prune")


def test_what_was_missed_and_made_up_is_counted_and_drawn(
    desk: Desk, conn: Connection, database_url: str
) -> None:
    with connect(database_url) as scheduler:
        Clock().look(scheduler)

    page = desk.browser("viewer").get("/schedules")

    prune = row(page, "prune")
    assert "st-ok" in prune
    assert re.search(r"[45] missed(, 1 made up)?", prune)
    assert re.search(r'aria-label="prune: . ran, 0 failed, . missed', prune)
    assert "/jobs/" in prune


def test_a_viewer_sees_no_buttons_and_may_press_none(desk: Desk, conn: Connection) -> None:
    viewer = desk.browser("viewer")

    page = viewer.get("/schedules")
    status, _ = viewer.send("/schedules/prune/run", csrf=viewer.token, why="because")

    assert "/schedules/prune/run" not in page
    assert status == 403
    assert jobs.list_jobs(conn) == []


def test_run_now_enqueues_one_job_and_is_noted(desk: Desk, conn: Connection) -> None:
    operator = desk.browser("operator", "ada")

    target = operator.post("/schedules/prune/run", why="it is full", next="/schedules")

    (job,) = jobs.list_jobs(conn)
    assert (target, job.kind) == ("/schedules", "prune")
    assert noted(conn, "run_schedule") == [
        ("ada", "schedule prune", "it is full", {"job_id": job.id})
    ]


def test_a_paused_schedule_says_so_until_it_is_resumed(desk: Desk, conn: Connection) -> None:
    operator = desk.browser()

    operator.post("/schedules/prune/pause")
    paused = row(operator.get("/schedules"), "prune")
    operator.post("/schedules/prune/resume")
    resumed = row(operator.get("/schedules"), "prune")

    assert "st-held" in paused
    assert "/schedules/prune/resume" in paused
    assert "st-ok" in resumed
    assert "prune" not in [late.name for late in schedules.list_late(conn)]


def test_times_are_tried_before_they_are_used(desk: Desk, conn: Connection) -> None:
    operator = desk.browser()

    page = operator.get("/schedules/prune?cron=30+2+*+*+sun")

    assert page.count("02:30") >= 5
    assert "Use these times" in page
    assert crons(conn)["prune"] == ("7 * * * *", "7 * * * *")


def test_times_are_changed_and_set_back(desk: Desk, conn: Connection) -> None:
    operator = desk.browser()

    operator.post("/schedules/prune/edit", cron="  30  2 * * sun ")
    edited = crons(conn)["prune"]
    page = operator.get("/schedules/prune")
    operator.post("/schedules/prune/reset")

    assert edited == ("30 2 * * sun", "7 * * * *")
    assert "An operator changed them" in page
    assert crons(conn)["prune"] == ("7 * * * *", "7 * * * *")


@pytest.mark.parametrize("cron", ["0 7 * * 1", "<script>alert(1)</script>", "0 0 30 feb *", "\0"])
def test_times_that_cannot_be_are_refused_in_words(desk: Desk, conn: Connection, cron: str) -> None:
    operator = desk.browser()

    status, text = operator.send(
        "/schedules/prune/edit", csrf=operator.token, why="because", cron=cron
    )

    assert status == 400
    assert "These times cannot be used" in text
    assert "<script>alert" not in text
    assert crons(conn)["prune"] == ("7 * * * *", "7 * * * *")
    assert noted(conn, "edit_schedule") == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/schedules/nightly", 404),
        ("/schedules/prune?before=yesterday", 400),
        ("/schedules/prune?before=2026-01-01T00:00:00", 400),
        ("/schedules/prune?cron=%00", 400),
        ("/schedules/prune?cron=nonsense", 200),
    ],
)
def test_addresses_that_mean_nothing_are_answered(desk: Desk, path: str, status: int) -> None:
    assert desk.browser("viewer").status(path) == status


def test_history_is_paged_and_says_what_became_of_each_tick(
    desk: Desk, conn: Connection, database_url: str
) -> None:
    with connect(database_url) as scheduler:
        Clock().look(scheduler)
    viewer = desk.browser("viewer")

    page = viewer.get("/schedules/announce_leads")
    older = re.search(r'href="(/schedules/announce_leads\?before=[^"]+)"', page)

    assert page.count("missed, skipped") >= 49
    assert older is not None
    assert viewer.get(older[1]).count("missed, skipped") == 50
