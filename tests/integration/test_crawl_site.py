"""`crawl_site` on a real database and a site on 127.0.0.1: which pages become sources."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from db import jobs
from db.fence import Fence, LeaseLost
from db.jobs import Finish
from pipelines import crawl_site
from pipelines.errors import Snooze
from tests.crawling import Crawling, crawling, page
from tests.fakes import Hit, Site, Wire, site
from tests.knowledge import Indexing

PDF = Path(__file__).parents[2] / "workers/sample/trust-report.pdf"


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as served:
        yield served


@pytest.fixture
def crawl(knowledge: Indexing) -> Iterator[Crawling]:
    with crawling(knowledge) as prepared:
        yield prepared


def small_site(web: Site) -> str:
    """Three pages that link to each other."""
    web.page("/a", page("Apples", "/", "/b"), headers={"ETag": '"a"'})
    web.page("/b", page("Pears", "/a"), headers={"ETag": '"b"'})
    return web.page("/", page("Fruit", "/a", "/b"), headers={"ETag": '"start"'})


def editions(crawl: Crawling) -> dict[str, str]:
    """Of every chunk: which transaction wrote it last."""
    rows = crawl.knowledge.rows("SELECT id::text, xmin::text AS x FROM public.knowledge_chunks")
    return {row["id"]: row["x"] for row in rows}


def test_every_page_of_a_site_becomes_a_source(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web))

    parent, children = crawl.parent(source_id), crawl.children(source_id)
    assert parent["status"] == "completed", parent["error_message"]
    assert [child["name"] for child in children] == ["Fruit", "Apples", "Pears"]
    assert {child["status"] for child in children} == {"completed"}
    assert "Apples is explained here" in crawl.knowledge.chunks(children[1]["id"])[0]["content"]
    assert parent["progress"]["pages_indexed"] == 3
    assert parent["chunks_count"] == sum(child["chunks_count"] for child in children) > 0


def test_each_page_is_fetched_once(crawl: Crawling, web: Site) -> None:
    crawl.crawl(small_site(web))

    assert [web.count(path) for path in ("/", "/a", "/b", "/robots.txt")] == [1, 1, 1, 1]
    (left,) = crawl.knowledge.rows("SELECT count(*) AS pages FROM worker.fetched_pages")
    assert left["pages"] == 0


def test_crawling_twice_costs_a_conditional_request_a_page_and_changes_nothing(
    crawl: Crawling, web: Site
) -> None:
    source_id = crawl.crawl(small_site(web))
    before, synced_at = editions(crawl), crawl.children(source_id)[0]["last_synced_at"]
    web.hits.clear()

    crawl.again(source_id)

    pages = [hit for hit in web.hits if hit.path in ("/", "/a", "/b")]
    assert [hit.headers.get("if-none-match") for hit in pages] == ['"start"', '"a"', '"b"']
    assert editions(crawl) == before
    assert crawl.children(source_id)[0]["last_synced_at"] > synced_at
    assert crawl.report(source_id)["pages_unchanged"] == 3
    assert len(crawl.knowledge.rows("SELECT FROM worker.sync_runs WHERE kind = 'crawl_site'")) == 1


def test_only_the_page_that_changed_is_indexed_again(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web))
    before = editions(crawl)
    web.page("/a", page("Apples", "/", "/b", text="Apples have become cheaper since yesterday."))

    crawl.again(source_id)

    report = crawl.report(source_id)
    assert (report["pages_indexed"], report["pages_unchanged"]) == (1, 2)
    assert len(before.items() & editions(crawl).items()) == len(before) - 1
    assert (report["chunks_added"], report["chunks_removed"]) == (1, 1)


def test_a_page_that_is_gone_or_linked_no_more_is_removed(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web))
    web.page("/", page("Fruit", "/a"))
    web.page("/a", page("Apples", "/"))

    crawl.again(source_id)
    without_b = crawl.paths(source_id)
    web.page("/a", status=410)
    crawl.again(source_id)

    assert without_b == ["", "a"]
    assert crawl.paths(source_id) == [""]
    assert crawl.report(source_id)["pages_removed"] == 1


def test_a_page_that_fails_for_now_is_kept_and_so_is_what_it_leads_to(
    crawl: Crawling, web: Site
) -> None:
    web.page("/deep", page("Deep"))
    web.page("/a", page("Apples", "/deep"))
    source_id = crawl.crawl(web.page("/", page("Fruit", "/a")))
    web.page("/a", status=503)

    crawl.again(source_id)

    assert crawl.paths(source_id) == ["", "a", "deep"]
    assert crawl.parent(source_id)["status"] == "completed"
    (failure,) = crawl.report(source_id)["failures"]
    assert failure["url"] == web.url("/a")
    assert "HTTP 503" in failure["reason"]
    assert web.count("/a") == 1 + 3


def test_a_site_that_breaks_down_midway_loses_nothing(crawl: Crawling, web: Site) -> None:
    paths = [f"/{n}" for n in range(15)]
    for path in paths:
        web.page(path, page(f"Page {path}"))
    source_id = crawl.crawl(web.page("/", page("Start", *paths)))
    web.page("/", page("Start", *paths[:12]))
    for path in paths[1:]:
        web.page(path, status=500)

    crawl.again(source_id)

    assert len(crawl.children(source_id)) == 16
    assert "failures in a row" in crawl.report(source_id)["limits_hit"]


def test_pages_with_one_canonical_are_one_source(crawl: Crawling, web: Site) -> None:
    head = '<link rel="canonical" href="/list">'
    for path in ("/list?sort=a", "/list?sort=b", "/list"):
        web.page(path, page("List", head=head, text=f"All of the list, seen as {path}."))
    source_id = crawl.crawl(web.page("/", page("Start", "/list?sort=a", "/list?sort=b", "/list")))

    assert crawl.paths(source_id) == ["", "list"]
    assert crawl.report(source_id)["pages_duplicate"] == 2


def test_pages_with_the_same_text_are_one_source(crawl: Crawling, web: Site) -> None:
    for path in ("/print", "/screen"):
        web.page(path, page("Same", text="Word for word the same, whatever it is called."))
    source_id = crawl.crawl(web.page("/", page("Start", "/print", "/screen")))

    assert crawl.paths(source_id) == ["", "print"]


def test_a_duplicate_takes_the_place_of_a_page_that_went(crawl: Crawling, web: Site) -> None:
    for path in ("/one", "/two"):
        web.page(path, page("Same", text="Word for word the same, whatever it is called."))
    source_id = crawl.crawl(web.page("/", page("Start", "/one", "/two")))
    web.page("/one", page("Other", text="Now this page is about something else entirely."))

    crawl.again(source_id)

    assert crawl.paths(source_id) == ["", "one", "two"]


def test_tracking_parameters_and_fragments_make_no_other_page(crawl: Crawling, web: Site) -> None:
    web.page("/a", page("Apples"))
    start = web.page("/", page("Start", "/a?utm_source=x", "/a#top", "/./b/../a", "/a?gclid=1"))
    source_id = crawl.crawl(start)

    assert crawl.paths(source_id) == ["", "a"]
    assert web.count("/a") == 1


def test_a_redirect_is_the_page_that_it_leads_to(crawl: Crawling, web: Site) -> None:
    web.page("/new", page("New"))
    web.redirect("/old", "/new", status=301)
    web.redirect("/away", "http://127.0.0.1:1/", status=302)
    web.redirect("/circle", "/circle")
    start = web.page("/", page("Start", "/old", "/new", "/away", "/circle"))
    source_id = crawl.crawl(start)

    assert crawl.paths(source_id) == ["", "new"]
    assert web.count("/new") == 1
    assert crawl.states(source_id)["away"] == "redirected"


def test_a_start_page_may_lead_to_where_the_site_is(crawl: Crawling, web: Site) -> None:
    with site() as moved:
        moved.page("/a", page("Apples"))
        moved.page("/home", page("Home", "/a"))
        source_id = crawl.crawl(web.redirect("/", moved.url("/home")))

        assert crawl.paths(source_id) == ["a", "home"]
        assert moved.count("/robots.txt") == 1


def test_what_robots_txt_disallows_is_not_asked_for(crawl: Crawling, web: Site) -> None:
    web.page("/robots.txt", "User-agent: *\nDisallow: /private/\n", content_type="text/plain")
    web.page("/private/x", page("Private"))
    source_id = crawl.crawl(web.page("/", page("Start", "/private/x")))

    assert crawl.paths(source_id) == [""]
    assert web.count("/private/x") == 0
    assert crawl.report(source_id)["pages_disallowed"] == 1


def test_a_site_that_allows_nothing_fails_with_its_reason(crawl: Crawling, web: Site) -> None:
    web.page("/robots.txt", "User-agent: AvivroBot\nDisallow: /\n")
    source_id = crawl.crawl(web.page("/", page("Start")))

    parent = crawl.parent(source_id)
    assert parent["status"] == "failed"
    assert "robots.txt does not allow" in parent["error_message"]
    assert web.count("/") == 0


def test_a_site_whose_robots_txt_is_broken_is_left_alone(crawl: Crawling, web: Site) -> None:
    web.page("/robots.txt", status=503)
    source_id = crawl.crawl(web.page("/", page("Start")))

    assert "/robots.txt could not be read" in crawl.parent(source_id)["error_message"]
    assert web.count("/") == 0


def test_robots_txt_does_not_bind_a_page_that_an_owner_entered(crawl: Crawling, web: Site) -> None:
    web.page("/robots.txt", "User-agent: *\nDisallow: /\n")
    source_id = crawl.knowledge.insert("url", url=web.page("/", page("Start")))

    crawl.work_off()

    assert crawl.parent(source_id)["status"] == "completed"
    assert web.count("/robots.txt") == 0


def test_what_asks_not_to_be_indexed_is_not_but_leads_on(crawl: Crawling, web: Site) -> None:
    noindex, nofollow = (
        f'<meta name="robots" content="{word}">' for word in ("noindex", "nofollow")
    )
    web.page("/menu", page("Menu", "/a", head=noindex))
    web.page("/header", page("Header"), headers={"X-Robots-Tag": "noindex"})
    web.page("/end", page("End", "/b", head=nofollow))
    web.page("/a", page("Apples"))
    web.page("/b", page("Pears"))
    source_id = crawl.crawl(web.page("/", page("Start", "/menu", "/header", "/end")))

    assert crawl.paths(source_id) == ["", "a", "end"]
    assert crawl.report(source_id)["pages_noindex"] == 2


def test_patterns_say_what_is_read(crawl: Crawling, web: Site) -> None:
    for path in ("/docs/a", "/docs/old/b", "/blog/c"):
        web.page(path, page(f"About {path}"))
    start = web.page("/", page("Start", "/docs/a", "/docs/old/b", "/blog/c"))
    source_id = crawl.crawl(start, include=["/docs/*"], exclude=["/docs/old/*"])

    assert crawl.paths(source_id) == ["docs/a"]
    assert (web.count("/docs/old/b"), web.count("/blog/c")) == (0, 0)


def test_depth_and_pages_have_limits_that_the_report_names(crawl: Crawling, web: Site) -> None:
    for n in range(5):
        web.page(f"/{n}", page(f"Page {n}", f"/{n + 1}"))
    start = web.page("/", page("Start", "/0"))
    deep = crawl.crawl(start, depth_max=2)
    many = crawl.crawl(start, depth_max=9, pages_max=3)

    assert crawl.paths(deep) == crawl.paths(many) == ["", "0", "1"]
    assert crawl.report(deep)["limits_hit"] == ["depth_max"]
    assert crawl.report(many)["limits_hit"] == ["pages_max"]
    assert crawl.report(many)["pages_left"] == 1


def urlset(*entries: str) -> str:
    return f"<urlset>{''.join(f'<url>{entry}</url>' for entry in entries)}</urlset>"


def test_pages_of_a_nested_compressed_sitemap_are_found(crawl: Crawling, web: Site) -> None:
    web.page("/robots.txt", f"Sitemap: {web.url('/index.xml')}\n")
    web.page(
        "/index.xml",
        f"<sitemapindex><sitemap><loc>{web.url('/pages.xml.gz')}</loc></sitemap></sitemapindex>",
    )
    listed = urlset(f"<loc>{web.url('/far')}</loc>", "<loc>http://10.0.0.1/x</loc>")
    web.page("/pages.xml.gz", gzip.compress(listed.encode()), content_type="application/gzip")
    web.page("/far", page("Far"))
    source_id = crawl.crawl(web.page("/", page("Start")), depth_max=0)

    assert crawl.paths(source_id) == ["", "far"]
    assert set(crawl.states(source_id)) == {"", "far", "index.xml", "pages.xml.gz", "sitemap.xml"}


def test_a_sitemap_that_says_nothing_changed_saves_the_request(crawl: Crawling, web: Site) -> None:
    dated = "<lastmod>2024-05-01</lastmod>"
    web.page("/sitemap.xml", urlset(f"<loc>{web.url('/a')}</loc>{dated}"))
    web.page("/a", page("Apples", "/b"))
    web.page("/b", page("Pears"))
    source_id = crawl.crawl(web.page("/", page("Start")))

    crawl.again(source_id)

    assert crawl.paths(source_id) == ["", "a", "b"]
    assert (web.count("/a"), web.count("/b")) == (1, 2)


def test_links_alone_are_followed_where_sitemaps_are_not_wanted(crawl: Crawling, web: Site) -> None:
    web.page("/sitemap.xml", urlset(f"<loc>{web.url('/a')}</loc>"))
    web.page("/a", page("Apples"))
    source_id = crawl.crawl(web.page("/", page("Start")), sitemap=False)

    assert crawl.paths(source_id) == [""]
    assert web.count("/sitemap.xml") == 0


def test_a_sitemap_that_cannot_be_read_for_now_removes_nothing(crawl: Crawling, web: Site) -> None:
    web.page("/sitemap.xml", urlset(f"<loc>{web.url('/a')}</loc>"))
    web.page("/a", page("Apples"))
    source_id = crawl.crawl(web.page("/", page("Start")))
    web.page("/sitemap.xml", status=502)

    crawl.again(source_id)

    assert crawl.paths(source_id) == ["", "a"]


def test_a_linked_document_is_a_page_and_a_picture_is_not(crawl: Crawling, web: Site) -> None:
    web.page("/report.pdf", PDF.read_bytes(), content_type="application/pdf")
    web.page("/photo.jpg", b"\xff\xd8\xff", content_type="image/jpeg")
    source_id = crawl.crawl(web.page("/", page("Start", "/report.pdf", "/photo.jpg")))

    assert crawl.paths(source_id) == ["", "report.pdf"]
    assert web.count("/photo.jpg") == 0


def test_an_endless_calendar_ends(crawl: Crawling, web: Site) -> None:
    class Calendar(dict[str, object]):
        def get(self, path: str, default: object = None) -> object:
            found = super().get(path)
            return found or (self.day if path.startswith("/calendar/") else default)

        def day(self, wire: Wire, hit: Hit) -> bool:
            year, month = (int(part) for part in hit.path.split("/")[2:])
            body = page(f"Month {hit.path}", f"/calendar/{year + month // 12}/{month % 12 + 1}")
            wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}")
            return True

    web.answers = Calendar(web.answers)  # type: ignore[assignment]
    start = web.page("/", page("Start", *(f"/calendar/{year}/1" for year in range(1900, 2025))))
    source_id = crawl.crawl(start, depth_max=1, pages_max=500)

    assert len(crawl.children(source_id)) == 1 + 100
    assert set(crawl.report(source_id)["limits_hit"]) == {"depth_max", "similar addresses"}


def test_a_start_page_that_is_only_a_menu_leads_on(crawl: Crawling, web: Site) -> None:
    web.page("/a", page("Apples"))
    start = web.page("/", '<html><body><a href="/a"><img src="/a.png"></a></body></html>')
    source_id = crawl.crawl(start)

    assert crawl.paths(source_id) == ["a"]
    assert crawl.report(source_id)["failures"] == []


def test_a_start_page_that_is_not_there_fails_the_source(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(web.url("/typo"))

    parent = crawl.parent(source_id)
    assert parent["status"] == "failed"
    assert "HTTP 404" in parent["error_message"]
    (run,) = crawl.knowledge.rows("SELECT status, kind FROM worker.sync_runs")
    assert (run["status"], run["kind"]) == ("failed", "crawl_site")


def test_a_site_that_cannot_be_read_any_more_keeps_what_it_had(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web))
    web.answers.clear()

    crawl.again(source_id)

    assert crawl.parent(source_id)["status"] == "failed"
    assert len(crawl.children(source_id)) == 3


def test_wrong_settings_are_explained_on_the_source(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web), pages_max=9_999)

    parent = crawl.parent(source_id)
    assert parent["status"] == "failed"
    assert "from 1 to 5,000" in parent["error_message"]


def test_pages_are_split_as_their_parent_says(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web))
    crawl.knowledge.conn.execute(
        "UPDATE public.knowledge_sources SET settings = settings || %s::jsonb WHERE id = %s",
        ['{"chunking": {"tokens_max": 400}}', source_id],
    )

    crawl.work_off()

    children = crawl.children(source_id)
    assert {str(child["settings"]) for child in children} == {"{'chunking': {'tokens_max': 400}}"}
    assert {child["status"] for child in children} == {"completed"}


def test_a_source_that_is_no_site_any_more_is_one_page_again(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web))
    crawl.knowledge.conn.execute(
        "UPDATE public.knowledge_sources SET settings = '{}' WHERE id = %s", [source_id]
    )

    crawl.work_off()

    assert crawl.children(source_id) == []
    assert crawl.parent(source_id)["status"] == "completed"
    assert len(crawl.knowledge.chunks(source_id)) == 1


def test_a_page_that_becomes_a_site_is_not_found_twice(crawl: Crawling, web: Site) -> None:
    source_id = crawl.knowledge.insert("url", url=small_site(web))
    crawl.work_off()
    crawl.knowledge.conn.execute(
        "UPDATE public.knowledge_sources SET settings = '{\"crawl\": true}' WHERE id = %s",
        [source_id],
    )

    crawl.work_off()

    assert crawl.knowledge.chunks(source_id) == []
    assert len(crawl.children(source_id)) == 3


def test_a_child_can_be_tried_again_by_itself(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web))
    child = crawl.children(source_id)[1]
    web.hits.clear()

    crawl.again(child["id"])

    assert [hit.path for hit in web.hits] == ["/a"]
    assert crawl.parent(child["id"])["status"] == "completed"


def test_a_child_that_its_owner_deleted_comes_back(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web))
    crawl.knowledge.conn.execute(
        "DELETE FROM public.knowledge_sources WHERE id = %s", [crawl.children(source_id)[1]["id"]]
    )

    crawl.again(source_id)

    assert crawl.paths(source_id) == ["", "a", "b"]


def test_deleting_the_site_deletes_its_pages(crawl: Crawling, web: Site) -> None:
    source_id = crawl.crawl(small_site(web))

    crawl.knowledge.conn.execute("DELETE FROM public.knowledge_sources WHERE id = %s", [source_id])

    assert crawl.knowledge.rows("SELECT FROM public.knowledge_chunks") == []
    assert crawl.knowledge.rows("SELECT FROM worker.crawl_pages") == []


def test_a_page_whose_indexing_failed_is_named_and_tried_again(crawl: Crawling, web: Site) -> None:
    source_id = crawl.insert(small_site(web))
    (job,) = crawl.claim("knowledge")
    crawl.attempt(job)
    crawl.knowledge.conn.execute(
        "UPDATE worker.jobs SET state = 'cancelled', finished_at = now() WHERE id ="
        " (SELECT max(id) FROM worker.jobs WHERE kind = 'index_source')"
    )
    crawl.work_off()
    first = crawl.report(source_id)

    crawl.again(source_id)

    assert (first["pages_indexed"], first["pages_failed"]) == (2, 1)
    assert first["failures"] == [{"url": web.url("/b"), "reason": "Indexing was cancelled."}]
    assert crawl.report(source_id)["pages_unchanged"] == 2
    assert {child["status"] for child in crawl.children(source_id)} == {"completed"}


def test_killed_after_any_page_it_goes_on_and_asks_for_none_twice(
    crawl: Crawling, web: Site
) -> None:
    source_id = crawl.insert(small_site(web))
    for _ in range(3):
        (killed,) = crawl.claim("knowledge", room=1)
        with pytest.raises(Snooze):
            crawl_site.run(crawl.desk(fence_of(crawl, killed)), source_id=source_id, slice_s=0)
        handed_back = Finish(killed.id, killed.attempt, "available", spared=True)
        jobs.finish_jobs(crawl.knowledge.conn, [handed_back])
        crawl.hurry()

    crawl.work_off()

    assert [web.count(path) for path in ("/", "/a", "/b")] == [1, 1, 1]
    assert len(crawl.children(source_id)) == 3
    assert len(crawl.knowledge.rows("SELECT FROM worker.jobs WHERE kind = 'report_crawl'")) == 1


def test_its_progress_is_seen_while_it_runs(crawl: Crawling, web: Site) -> None:
    source_id = crawl.insert(small_site(web))
    (job,) = crawl.claim("knowledge")

    with pytest.raises(Snooze):
        crawl_site.run(crawl.desk(fence_of(crawl, job)), source_id=source_id, slice_s=0)

    parent = crawl.parent(source_id)
    assert parent["status"] == "processing"
    # The start page was read; a sitemap and two links are left.
    assert (parent["progress"]["done"], parent["progress"]["total"]) == (1, 4)
    assert parent["progress"]["note"].startswith("1 pages kept; last read: http")
    row = jobs.get_job(crawl.knowledge.conn, job.id)
    assert row is not None
    assert row.progress == parent["progress"]


def test_a_crawl_that_was_cancelled_begins_anew_when_asked_again(
    crawl: Crawling, web: Site
) -> None:
    source_id = crawl.insert(small_site(web))
    (job,) = crawl.claim("knowledge")
    with pytest.raises(Snooze):
        crawl_site.run(crawl.desk(fence_of(crawl, job)), source_id=source_id, slice_s=0)
    jobs.finish_jobs(crawl.knowledge.conn, [Finish(job.id, job.attempt, "cancelled")])
    cancelled = crawl.parent(source_id)

    crawl.again(source_id)

    assert (cancelled["status"], cancelled["error_message"]) == (
        "failed",
        "Indexing was cancelled.",
    )
    assert crawl.paths(source_id) == ["", "a", "b"]
    assert crawl.parent(source_id)["status"] == "completed"


def test_an_attempt_that_lost_its_job_stores_nothing(crawl: Crawling, web: Site) -> None:
    source_id = crawl.insert(small_site(web))
    (killed,) = crawl.claim("knowledge")
    handed_back = Finish(killed.id, killed.attempt, "available", spared=True)
    jobs.finish_jobs(crawl.knowledge.conn, [handed_back])

    with pytest.raises(LeaseLost):
        crawl_site.run(crawl.desk(fence_of(crawl, killed)), source_id=source_id)

    assert crawl.children(source_id) == []
    assert web.hits == []


def test_an_attempt_whose_end_was_not_stored_is_not_made_again(crawl: Crawling, web: Site) -> None:
    source_id = crawl.insert(small_site(web))
    (job,) = crawl.claim("knowledge")
    crawl.run(job)
    web.hits.clear()

    crawl.run(job)

    assert web.hits == []
    assert len(crawl.children(source_id)) == 3


def fence_of(crawl: Crawling, job: jobs.Claimed) -> Fence:
    return Fence(crawl.pool, job.id, job.attempt)
