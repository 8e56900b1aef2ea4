"""What one slice of a crawl works with, and the settings that it was asked for."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from db.crawls import Crawl, Site
from db.fence import Fence
from db.pool import Connection
from pipelines.errors import Permanent, Transient
from pipelines.gateways.polite import GAP_S, PoliteClient, host_key
from pipelines.gateways.robots import UNREACHABLE_KEPT_S, read_rules
from pipelines.knowledge.crawl_robots import Rules
from pipelines.knowledge.crawl_settings import CrawlSettings, parse_settings
from pipelines.knowledge.crawl_urls import normalise, origin_of
from pipelines.knowledge.sandbox import Parser


@dataclass(frozen=True, slots=True)
class Batches:
    """How the story enqueues. `callback_of` finds or makes what waits for this job and reports;
    `add` lets it wait for the indexing of a child, too. `index` reads a source that is no site.
    """

    callback_of: Callable[[Connection, int], int]
    add: Callable[[Connection, int, UUID], object]
    index: Callable[[Connection, UUID], object]


@dataclass(frozen=True, slots=True)
class Desk:
    db: Fence
    client: PoliteClient
    parser: Parser
    batches: Batches


@dataclass(slots=True)
class Work:
    """`crawl.site` is "" until the start page has said where the site is."""

    desk: Desk
    site: Site
    start: str
    settings: CrawlSettings
    crawl: Crawl
    callback_id: int
    _rules: dict[str, Rules | None] = field(default_factory=dict)

    @property
    def child_settings(self) -> dict[str, Any]:
        """How the parent is split is how its pages are."""
        return {name: value for name, value in self.site.settings.items() if name != "crawl"}

    def rules_of(self, url: str) -> Rules:
        """Raises Transient where the origin does not say what it allows."""
        origin = origin_of(url)
        if origin not in self._rules:
            self._rules[origin] = read_rules(self.desk.db, self.desk.client, origin)
        rules = self._rules[origin]
        if rules is None:
            raise Transient(
                f"{origin}/robots.txt could not be read, and until it can the site must not be"
                " crawled",
                retry_after_s=UNREACHABLE_KEPT_S,
            )
        return rules

    def wait(self, url: str, rules: Rules) -> None:
        """The crawl delay that the site asks for, beyond what every request waits."""
        if rules.delay_s > GAP_S:
            self.desk.client.wait_turn(f"crawl {host_key(url)}", gap_s=rules.delay_s)

    def note_limit(self, name: str) -> None:
        if name not in self.crawl.limits_hit:
            self.crawl.limits_hit.append(name)


def read_start(site: Site) -> tuple[str, CrawlSettings]:
    """Raises Permanent where the owner has to correct something."""
    settings = parse_settings(site.settings.get("crawl"))
    start = normalise(site.url or "")
    if start is None:
        raise Permanent(
            "this source names no site to crawl: its `url` is empty or no http(s) address"
        )
    return start, settings


def asked(site: Site) -> str:
    """What the crawl is of: other settings begin anew."""
    wanted = (str(site.agent_id), site.url, site.settings)
    return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
