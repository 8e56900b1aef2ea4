"""What a crawl decides before and after its visits."""

from uuid import UUID

import pytest

from db.crawls import Crawl, Site
from pipelines.crawl_site import is_current, reason_of
from pipelines.crawling.work import asked, read_start
from pipelines.errors import Permanent

ID = UUID("8c3f6a52-6f0e-4f0d-9f3e-0d6a1f1f9a11")


def site_with(
    status: str = "processing", url: str | None = "https://a.example/", **crawl: object
) -> Site:
    return Site(ID, ID, ID, "url", url, {"crawl": crawl or True}, status, is_crawl=True)


def crawl_of(site: Site, stage: str) -> Crawl:
    return Crawl(1, 7, asked(site), stage, "", 0, 0, 0, True, [], 0)


def test_the_crawl_of_a_job_that_was_killed_goes_on() -> None:
    site = site_with()

    assert is_current(crawl_of(site, "crawling"), site, job_id=7)


def test_a_crawl_whose_end_was_not_stored_is_not_made_again() -> None:
    site = site_with()

    assert is_current(crawl_of(site, "indexing"), site, job_id=7)


@pytest.mark.parametrize(
    ("stage", "status", "job_id"),
    [("crawling", "processing", 8), ("indexing", "pending", 7), ("done", "processing", 7)],
)
def test_another_job_or_a_wish_to_try_again_begins_anew(
    stage: str, status: str, job_id: int
) -> None:
    site = site_with(status)

    assert not is_current(crawl_of(site, stage), site, job_id=job_id)


def test_other_settings_begin_anew() -> None:
    before = site_with(pages_max=5)

    assert not is_current(crawl_of(before, "crawling"), site_with(pages_max=6), job_id=7)


@pytest.mark.parametrize("url", [None, "", "ftp://a.example/", "https://me:secret@a.example/"])
def test_a_source_without_a_web_address_is_refused(url: str | None) -> None:
    with pytest.raises(Permanent, match="names no site to crawl"):
        read_start(site_with(url=url))


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"disallowed": 1}, "robots.txt does not allow AvivroBot"),
        ({"noindex": 2}, "not to be indexed"),
        ({"redirected": 1}, "redirects lead to no page"),
        ({"excluded": 1}, "settings.crawl includes"),
    ],
)
def test_the_owner_learns_why_there_is_no_page(states: dict[str, int], words: str) -> None:
    assert words in reason_of(states, [])


def test_a_page_that_failed_is_the_first_reason() -> None:
    assert reason_of({"disallowed": 1}, [("https://a.example/", "not found")]) == "not found"
