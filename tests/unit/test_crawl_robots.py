"""What robots.txt allows, as our crawler reads it."""

import pytest

from pipelines.knowledge.crawl_robots import CRAWL_DELAY_S_MAX, SITEMAPS_MAX, Rules

SITE = "https://a.example"


@pytest.mark.parametrize(
    ("text", "path", "allowed"),
    [
        ("", "/x", True),
        ("User-agent: *\nDisallow: /", "/x", False),
        ("User-agent: *\nDisallow:", "/x", True),
        ("User-agent: *\nDisallow: /\nUser-agent: AvivroBot\nAllow: /", "/x", True),
        ("User-agent: avivrobot\nDisallow: /\nUser-agent: *\nAllow: /", "/x", False),
        ("User-agent: other\nDisallow: /", "/x", True),
        ("User-agent: *\nDisallow: /a/\nAllow: /a/b", "/a/b/c", True),
        ("User-agent: *\nDisallow: /*.pdf$", "/x.pdf", False),
        ("User-agent: *\nDisallow: /*.pdf$", "/x.pdf?y", True),
        ("User-agent: *\nDisallow: /%7Eme", "/~me", False),
        ("<html>not found</html>", "/x", True),
    ],
)
def test_rules_are_those_of_the_standard(text: str, path: str, allowed: bool) -> None:
    assert Rules.parse(text).allows(SITE + path) is allowed


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("3", 3.0), ("0.5", 0.5), ("86400", CRAWL_DELAY_S_MAX), ("-1", 0.0), ("nan", 0.0), ("x", 0.0)],
)
def test_a_crawl_delay_is_kept_up_to_a_limit(delay: str, seconds: float) -> None:
    assert Rules.parse(f"User-agent: *\nCrawl-delay: {delay}").delay_s == seconds


def test_sitemaps_are_taken_up_to_a_limit() -> None:
    text = "".join(f"Sitemap: {SITE}/{n}.xml\n" for n in range(SITEMAPS_MAX + 5))

    assert len(Rules.parse(text).sitemaps) == SITEMAPS_MAX


def test_hostile_wildcards_take_no_time() -> None:
    rules = Rules.parse("User-agent: *\n" + "Disallow: /" + "*a" * 500 + "b$\n")

    assert rules.allows(SITE + "/" + "a" * 1_900)
