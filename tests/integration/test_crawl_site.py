"""`crawl_site` on a real database and a site on 127.0.0.1: which pages become sources."""

from collections.abc import Iterator

import pytest

from tests.crawling import Crawling, crawling, page
from tests.fakes import Site, site
from tests.knowledge import Indexing


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
