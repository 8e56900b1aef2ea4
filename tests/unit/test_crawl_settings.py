"""What an owner may ask of a crawl, and what is said to the rest."""

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge.crawl_settings import CrawlSettings, parse_settings


def test_true_asks_for_the_defaults() -> None:
    assert parse_settings(True) == CrawlSettings(pages_max=100, depth_max=3, sitemap=True)


def test_every_entry_is_read() -> None:
    found = parse_settings(
        {"pages_max": 7, "depth_max": 0, "sitemap": "https://A.example/map.xml", "include": ["/*"]}
    )

    assert (found.pages_max, found.depth_max) == (7, 0)
    assert found.sitemap == "https://a.example/map.xml"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("yes", "must be true or an object"),
        ([], "must be true or an object"),
        ({"pages": 5}, "unknown entry 'pages'; known: pages_max"),
        ({"pages_max": 0}, "pages_max must be a whole number from 1 to 5,000, not 0"),
        ({"pages_max": 5001}, "from 1 to 5,000"),
        ({"pages_max": True}, "from 1 to 5,000"),
        ({"depth_max": 1.5}, "depth_max must be a whole number from 0 to 20"),
        ({"include": "/docs/*"}, "include must be a list of at most 50"),
        ({"include": ["/x"] * 51}, "at most 50"),
        ({"exclude": ["https://a.example/x"]}, "a pattern is a path such as /docs/"),
        ({"exclude": [7]}, "a pattern is a path"),
        ({"exclude": ["/" + "x" * 200]}, "201 characters, the limit is 200"),
        ({"sitemap": "file:///etc/passwd"}, "must be true, false or an http"),
        ({"sitemap": 3}, "must be true, false or an http"),
    ],
)
def test_what_is_wrong_is_named_with_its_limit(value: object, words: str) -> None:
    with pytest.raises(Permanent, match=words):
        parse_settings(value)


def test_patterns_are_globs_over_the_path_and_exclude_wins() -> None:
    settings = parse_settings({"include": ["/docs/*"], "exclude": ["*/old/*", "/docs/v?"]})

    assert settings.wants("https://a.example/docs/x/y?q=/old/")
    assert not settings.wants("https://a.example/blog/")
    assert not settings.wants("https://a.example/docs/old/x")
    assert not settings.wants("https://a.example/docs/v1")


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    settings = parse_settings({"include": ["/" + "*a" * 99]})

    assert not settings.wants("https://a.example/" + "a" * 1_900 + "b")


def test_visits_have_a_limit_of_their_own() -> None:
    assert parse_settings({"pages_max": 1}).visits_max == 100
    assert parse_settings({"pages_max": 1000}).visits_max == 4000
