"""An operator at work in Chromium, against processes that really run jobs."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from db.embedded import Services
from tests.browsing import Stack, open_stack
from tests.conftest import fresh_database
from tests.processes import avivro, wait_until

FAILING = json.dumps({"fail_times": 1})
SLEEPING = json.dumps({"sleep_ms": 30_000})


@pytest.fixture(scope="module")
def stack(
    services: Services, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    assert services.redis_url is not None
    folder = tmp_path_factory.mktemp("browser")
    with (
        fresh_database(services, template=template) as url,
        avivro(
            folder / "run",
            DATABASE_URL=url,
            REDIS_URL=services.redis_url.replace("db=0", "db=7"),
            AVIVRO_HOME=str(folder / "home"),
        ) as commands,
        open_stack(commands, url, "worker", "dispatcher", "scheduler") as stack,
    ):
        yield stack


def discard(stack: Stack, *, count: int = 1, note: str = "given up") -> list[int]:
    """Jobs that were given up and would succeed when they are tried again."""
    errors = json.dumps([{"attempt": 10, "error": f"Failed: {note}", "trace": None, "at": None}])
    rows = stack.conn.execute(
        "INSERT INTO worker.jobs (kind, queue, state, args, errors, attempt, max_attempts,"
        " finished_at) SELECT 'probe', 'default', 'discarded', '{}', %s, 10, 10, now()"
        " FROM generate_series(1, %s) RETURNING id",
        (errors, count),
    ).fetchall()
    return [row[0] for row in rows]


def confirm(page: Page, why: str) -> None:
    """Fill in the reason of the form that is open, send it, and wait for the page after it."""
    reason = page.locator('input[name="why"]:visible')
    reason.fill(why)
    with page.expect_navigation():
        reason.press("Enter")


def audited(stack: Stack, why: str) -> list[str]:
    rows = stack.conn.execute("SELECT action FROM worker.audit_log WHERE why = %s", (why,))
    return [row[0] for row in rows.fetchall()]


def test_a_discarded_job_is_retried_from_its_page(stack: Stack) -> None:
    (job_id,) = discard(stack)

    with stack.window() as window:
        page = window.open(f"/jobs/{job_id}")
        page.get_by_text(re.compile("^Retry")).first.click()
        confirm(page, "the cause is mended")

        stack.wait_for_state(job_id, "completed")
        expect(page.locator("main")).to_contain_text("completed")

    assert audited(stack, "the cause is mended")


def test_a_paused_queue_holds_its_jobs_until_it_is_resumed(stack: Stack) -> None:
    with stack.window() as window:
        page = window.open("/queues/default")
        page.locator("summary", has_text="Pause").first.click()
        confirm(page, "looking into it")
        job_id = stack.enqueue("probe")
        page.goto(f"{window.base}/jobs/{job_id}")
        expect(page.locator("main")).to_contain_text("looking into it")
        assert stack.state(job_id) == "available"

        page.goto(f"{window.base}/queues/default")
        page.locator("summary", has_text="Resume").first.click()
        confirm(page, "found it")

        stack.wait_for_state(job_id, "completed")
    assert len(audited(stack, "looking into it")) == len(audited(stack, "found it")) == 1


def test_a_schedule_runs_now(stack: Stack) -> None:
    with stack.window() as window:
        page = window.open("/schedules/expire_api_keys")
        page.locator("summary", has_text="Run").first.click()
        confirm(page, "to see it work")

        found = wait_until(
            lambda: stack.conn.execute(
                "SELECT job_id FROM worker.schedule_ticks"
                " WHERE schedule = 'expire_api_keys' AND by_hand AND job_id IS NOT NULL"
            ).fetchone(),
            "a tick by hand",
        )
        stack.wait_for_state(found[0], "completed")


def test_the_overview_changes_by_itself_and_rests_out_of_sight(stack: Stack) -> None:
    with stack.window("viewer") as window:
        page = window.open("/")
        page.bring_to_front()
        expect(page.locator("#beat")).to_contain_text("Live")
        (job_id,) = discard(stack, note="seen without a reload")

        expect(page.locator("main")).to_contain_text(str(job_id))

        page.evaluate("dispatchEvent(new Event('blur'))")
        expect(page.locator("#beat")).to_contain_text("Resting")


def test_a_page_that_cannot_be_had_anew_says_how_old_it_is(stack: Stack) -> None:
    """While Postgres is away, the stream of beats goes on; the figures do not."""
    with stack.window() as window:
        page = window.open("/queues")
        expect(page.locator("#beat")).to_contain_text("Live")

        page.route("**/queues", lambda route: route.fulfill(status=503, body="away"))
        expect(page.locator("#beat")).to_contain_text("No answer, figures")
        page.unroute("**/queues")

        expect(page.locator("#beat")).to_contain_text("Live")
        window.problems.clear()


def test_a_viewer_sees_no_button_and_may_post_nothing(stack: Stack) -> None:
    (job_id,) = discard(stack)

    with stack.window("viewer") as window:
        page = window.open(f"/jobs/{job_id}")

        assert page.locator("details.act").count() == 0
        assert page.locator('main form[method="post"]').count() == 0
        status = page.evaluate(
            """async () => (await fetch("/queues/pause", {method: "POST",
            body: new URLSearchParams({why: "x", csrf: document.querySelector("[name=csrf]").value})
            })).status"""
        )
        assert status == 403
        window.problems.clear()


def test_a_form_of_another_site_does_nothing(stack: Stack) -> None:
    other = stack.base.replace("127.0.0.1", "localhost")

    with stack.window("admin") as window:
        page = window.page
        page.route(
            f"{other}/**",
            lambda route: route.fulfill(
                content_type="text/html",
                body=f'<form method="post" action="{stack.base}/queues/pause">'
                '<input name="name" value="default"><input name="why" value="attack">'
                "<button>go</button></form>",
            ),
        )
        page.goto(f"{other}/")
        with page.expect_navigation():
            page.get_by_role("button").click()

        assert page.url.startswith(stack.base)
        window.problems.clear()
    assert audited(stack, "attack") == []
    assert stack.conn.execute("SELECT FROM worker.pauses").fetchone() is None


def arrive(page: Page, address: str) -> None:
    """Keys that are pressed before the new page has its scripts move nothing."""
    expect(page).to_have_url(re.compile(address))
    page.wait_for_load_state()


def test_keys_move_open_and_go(stack: Stack) -> None:
    discard(stack, count=3)

    with stack.window() as window:
        page = window.open("/jobs?q=state:discarded")
        page.keyboard.press("j")
        page.keyboard.press("j")
        second = page.locator("[data-row]").nth(1)
        expect(second).to_have_class(re.compile("cur"))
        page.keyboard.press("o")
        arrive(page, r"/jobs/\d+$")

        page.keyboard.press("g")
        page.keyboard.press("s")
        arrive(page, r"/schedules$")

        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
        page.keyboard.press("Escape")

        page.keyboard.press("g")
        page.keyboard.press("j")
        arrive(page, r"/jobs$")
        page.keyboard.press("/")
        expect(page.locator('[data-key="/"]')).to_be_focused()


def test_the_filter_is_completed_by_keys_and_by_the_mouse(stack: Stack) -> None:
    with stack.window() as window:
        page = window.open("/jobs")
        line = page.locator("#f[role=combobox]")

        line.press_sequentially("sta")
        page.get_by_role("option", name="state: ").wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.get_by_role("option", name="state:discarded").click()

        expect(line).to_have_value("state:discarded")
        expect(page.get_by_role("listbox")).to_be_hidden()
        page.keyboard.press("Enter")
        arrive(page, r"/jobs\?q=state%3Adiscarded$")


def test_p_opens_a_pause_that_esc_closes_and_slash_finds_a_job(stack: Stack) -> None:
    with stack.window() as window:
        page = window.open("/queues")
        page.keyboard.press("j")
        page.keyboard.press("p")
        why = page.locator("[data-row].cur details.act[open] input[name=why]")
        expect(why).to_be_focused()
        page.keyboard.type("jjp/")
        expect(why).to_have_value("jjp/")

        page.keyboard.press("Escape")
        expect(page.locator("details.act[open]")).to_have_count(0)
        expect(page.locator("[data-row].cur summary")).to_be_focused()
        page.keyboard.press("/")
        arrive(page, r"/jobs#f$")
        expect(page.locator('[data-key="/"]')).to_be_focused()
