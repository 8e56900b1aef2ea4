"""What the owner of a site reads at the end of a crawl."""

from decimal import Decimal

from db.crawl_reports import Costs, StateCount
from pipelines.knowledge.crawl_report import FAILURES_MAX, Result, sum_up

FREE = Costs(0, 0, 0, 0, Decimal(0))


def report(*counts: StateCount, failures: int = 0, removed: int = 0) -> Result:
    named = [(f"https://a.example/{n}", "it was not found") for n in range(failures)]
    return sum_up(counts, FREE, named, removed=removed, limits_hit=["pages_max"])


def kept(indexed: int = 0, not_indexed: int = 0, unchanged: int = 0) -> StateCount:
    return StateCount("kept", indexed + not_indexed + unchanged, indexed, not_indexed, unchanged)


def others(state: str, pages: int) -> StateCount:
    return StateCount(state, pages, 0, 0, pages)


def test_every_page_is_counted_once_under_its_fate() -> None:
    result = report(
        kept(indexed=3, not_indexed=1, unchanged=5),
        others("duplicate", 2),
        others("redirected", 1),
        others("disallowed", 4),
        others("noindex", 6),
        others("failed", 1),
        others("gone", 1),
        others("queued", 7),
        removed=8,
    )

    counted = {name: value for name, value in result.report.items() if name.startswith("pages_")}
    assert counted == {
        "pages_found": 31,
        "pages_indexed": 3,
        "pages_unchanged": 5,
        "pages_duplicate": 3,
        "pages_disallowed": 4,
        "pages_noindex": 6,
        "pages_failed": 3,
        "pages_removed": 8,
        "pages_left": 7,
    }
    assert result.report["limits_hit"] == ["pages_max"]


def test_a_site_of_which_something_is_searchable_is_completed() -> None:
    assert report(kept(not_indexed=3, unchanged=1), failures=3).status == "completed"


def test_a_site_of_which_nothing_is_searchable_has_failed_and_says_why() -> None:
    result = report(kept(not_indexed=1), failures=1)

    assert result.status == "failed"
    assert result.error == "No page of this site could be indexed: it was not found"


def test_a_crawl_that_found_nothing_new_is_no_news() -> None:
    assert not report(kept(unchanged=5), others("duplicate", 1)).is_news
    assert report(kept(unchanged=5), removed=1).is_news


def test_only_the_first_failures_are_named() -> None:
    assert len(report(kept(unchanged=1), failures=50).report["failures"]) == FAILURES_MAX
