"""What an owner may ask of a crawl: `settings.crawl` of a url source. Pure."""

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pipelines.errors import Permanent
from pipelines.knowledge.crawl_urls import normalise

PAGES_MAX, PAGES_MAX_DEFAULT = 5_000, 100
DEPTH_MAX, DEPTH_MAX_DEFAULT = 20, 3
PATTERNS_MAX = 50
PATTERN_CHARS_MAX = 200
# Read for each page that is kept: duplicates, redirects and pages that only link cost visits.
VISITS_PER_PAGE = 4
VISITS_MIN = 100

_KNOWN = ("pages_max", "depth_max", "include", "exclude", "sitemap")


@dataclass(frozen=True, slots=True)
class CrawlSettings:
    """`sitemap` True looks for the site's own, False follows links only, an address names it."""

    pages_max: int = PAGES_MAX_DEFAULT
    depth_max: int = DEPTH_MAX_DEFAULT
    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()
    sitemap: bool | str = True

    @property
    def visits_max(self) -> int:
        return max(VISITS_MIN, VISITS_PER_PAGE * self.pages_max)

    def wants(self, url: str) -> bool:
        """Whether a page at this address may become a source; `exclude` wins."""
        path = urlsplit(url).path or "/"
        if any(pattern.fullmatch(path) for pattern in self.exclude):
            return False
        return not self.include or any(pattern.fullmatch(path) for pattern in self.include)


def parse_settings(value: Any) -> CrawlSettings:
    """Read `settings.crawl`; raises Permanent with what is wrong and what is allowed."""
    if value is True:
        return CrawlSettings()
    if not isinstance(value, Mapping):
        raise Permanent(f"settings.crawl must be true or an object, not {shown(value)}")
    unknown = [name for name in value if name not in _KNOWN]
    if unknown:
        raise Permanent(
            f"settings.crawl has an unknown entry {shown(unknown[0])}; known: {', '.join(_KNOWN)}"
        )
    return CrawlSettings(
        number(value, "pages_max", PAGES_MAX_DEFAULT, low=1, high=PAGES_MAX),
        number(value, "depth_max", DEPTH_MAX_DEFAULT, low=0, high=DEPTH_MAX),
        patterns(value, "include"),
        patterns(value, "exclude"),
        sitemap(value.get("sitemap", True)),
    )


def number(value: Mapping[str, Any], name: str, default: int, *, low: int, high: int) -> int:
    given = value.get(name)
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, int) or not low <= given <= high:
        raise Permanent(
            f"settings.crawl.{name} must be a whole number from {low} to {high:,},"
            f" not {shown(given)}"
        )
    return given


def patterns(value: Mapping[str, Any], name: str) -> tuple[re.Pattern[str], ...]:
    given = value.get(name)
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > PATTERNS_MAX:
        raise Permanent(
            f"settings.crawl.{name} must be a list of at most {PATTERNS_MAX} path patterns"
        )
    return tuple(compile_pattern(name, pattern) for pattern in given)


def compile_pattern(name: str, pattern: Any) -> re.Pattern[str]:
    """A glob over the path, such as /docs/*; fnmatch's translation never backtracks."""
    if not isinstance(pattern, str) or not pattern.startswith(("/", "*")):
        raise Permanent(
            f"settings.crawl.{name} holds {shown(pattern)}; a pattern is a path such as /docs/*"
        )
    if len(pattern) > PATTERN_CHARS_MAX:
        raise Permanent(
            f"settings.crawl.{name} holds a pattern of {len(pattern)} characters,"
            f" the limit is {PATTERN_CHARS_MAX}"
        )
    return re.compile(fnmatch.translate(pattern))


def sitemap(given: Any) -> bool | str:
    if isinstance(given, bool):
        return given
    address = normalise(given) if isinstance(given, str) else None
    if address is None:
        raise Permanent(
            f"settings.crawl.sitemap must be true, false or an http(s) address, not {shown(given)}"
        )
    return address


def shown(value: Any) -> str:
    return repr(value)[:100]
