"""The list of jobs, as an operator's browser sees it."""

import html
import re
from collections.abc import Iterator
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from db import jobs
from db.pool import Connection
from tests.bulk_desk import discard, shown
from tests.dashboard_world import Browser, Desk, open_desk
from workers.dashboard.pages import jobs as jobs_page


@pytest.fixture
def desk(database_url: str, redis_url: str) -> Iterator[Desk]:
    with open_desk(database_url, redis_url) as desk:
        yield desk


@pytest.fixture
def browser(desk: Desk) -> Browser:
    return desk.browser("operator")


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


def test_the_page_offers_filters_that_can_be_read(browser: Browser) -> None:
    for _, text in jobs_page.READY:
        browser.get(f"/jobs?q={quote(text)}")


@pytest.mark.parametrize("name", ["retired_kind", 'a "b", c:d \\ %_\u00e9'])
def test_kinds_and_queues_that_only_rows_have_can_be_filtered(
    conn: Connection, browser: Browser, name: str
) -> None:
    mine, _ = discard(conn, 2)
    conn.execute("UPDATE worker.jobs SET kind = %s, queue = %s WHERE id = %s", (name, name, mine))
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'

    link = re.findall(r'href="(/jobs\?q=kind[^"]*)"', browser.get("/jobs"))[-1]
    offered = browser.get(f"/jobs/suggest?q={quote('kind:' + quoted[:3])}")

    assert f"kind:{quoted}" in html.unescape(offered)
    for text in (f"kind:{quoted}", f"queue:{quoted}"):
        assert shown(browser.get(f"/jobs?q={quote(text)}")) == [mine]
    assert shown(browser.get(html.unescape(link))) == [mine]


def test_a_kind_that_rows_have_needs_no_quotes(conn: Connection, browser: Browser) -> None:
    ids = discard(conn, 1)
    conn.execute("UPDATE worker.jobs SET kind = 'retired_kind'")

    assert shown(browser.get("/jobs?q=kind:retired_kind")) == ids
    assert browser.status("/jobs?q=kind:retired_kinds") == 400


def test_tenants_are_offered_by_any_part_of_their_name(conn: Connection, browser: Browser) -> None:
    tenant = uuid4()
    conn.execute("INSERT INTO auth.users (id, email) VALUES (%s, 'x@y.z')", (tenant,))
    conn.execute("UPDATE public.user_profiles SET company_name = '100% _ \\ \"x\"'")
    discard(conn, 1, tenant=tenant)

    for typed in ("100%", "%", "_", "\\", '"100% _'):
        assert f"tenant:{tenant}" in browser.get(f"/jobs/suggest?q={quote('tenant:' + typed)}")
    assert "value=" not in browser.get("/jobs/suggest?q=tenant:1%25%25")
