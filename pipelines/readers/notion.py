"""Sources of type `notion`: pages and databases that are shared with an integration."""

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal

from db.sources import Source
from pipelines.credentials import Credentials
from pipelines.errors import Permanent
from pipelines.gateways.notion import BURST, RATE_PER_S, Notion, NotSharedError
from pipelines.gateways.patience import Patience
from pipelines.readers.base_url import base_url_of
from pipelines.readers.budget import Budget
from pipelines.readers.fetched import digest
from pipelines.readers.notion_blocks import PageLimitError, write_page
from pipelines.readers.notion_text import text_of, title_of, write_properties
from pipelines.readers.reading import Part, Reading, Seen, unchanged
from pipelines.readers.tools import ReadingTools
from pipelines.vault import keep_secret

ROOTS_MAX = 1_000
PAGES_MAX = 5_000
DEPTH_MAX = 20
# Notion tells times to the minute: of a page that was read within it, more may have changed.
SETTLES_AFTER = timedelta(minutes=2)

_ID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})")

Kind = Literal["page", "database", "data_source"]
Object = dict[str, Any]


def read(source: Source, tools: ReadingTools, seen: Seen) -> Reading:
    credentials = tools.vault.unlock(tools.db, source.id)
    return keep_secret(credentials, lambda: _read(source, tools, seen, credentials))


def _read(
    source: Source, tools: ReadingTools, seen: Seen, credentials: Credentials | None
) -> Reading:
    if credentials is None:
        raise Permanent(
            "this source has no credentials: enter the token of a Notion integration for it"
        )
    roots = parse_roots(source)
    base_url = base_url_of(source)
    notion = Notion(
        tools.client_for(base_url),
        credentials.text("token"),
        Patience(tools.db.check, rate_per_s=RATE_PER_S, burst=BURST),
        base_url=base_url,
    )
    return Walk(notion, tools, seen, now=datetime.now(UTC)).over(roots)


@dataclass(frozen=True, slots=True)
class Place:
    """Something to look at; `found` is the object itself where a list held it already."""

    kind: Kind
    id: str
    depth: int = 0
    found: Object | None = field(default=None, repr=False)


def parse_roots(source: Source) -> list[Place]:
    """What the settings name, by id or address; empty where everything shared is meant."""
    kinds: tuple[tuple[Kind, str], ...] = (
        ("page", "pages"),
        ("database", "databases"),
        ("data_source", "data_sources"),
    )
    roots = []
    for kind, name in kinds:
        given = source.settings.get(name, [])
        for value in given if isinstance(given, list) else [given]:
            roots.append(Place(kind, parse_id(value, f"settings.{name}")))
    if len(roots) > ROOTS_MAX:
        raise Permanent(f"the settings name {len(roots):,} places, the limit is {ROOTS_MAX:,}")
    return roots


def parse_id(value: Any, where: str) -> str:
    """The id in a page's address or by itself. Raises Permanent that says `where` it stands."""
    text = value.lower() if isinstance(value, str) else ""
    # The last one: an address ends in its page's id, whatever title stands before it.
    found = _ID.findall(text.partition("?")[0]) or _ID.findall(text)
    if not found:
        raise Permanent(f"{where}: {str(value)[:100]!r} is no id or address of a Notion page")
    return "-".join(found[-1])


class Walk:
    """Every page once, parents first; what did not change since `seen` is not read again."""

    def __init__(self, notion: Notion, tools: ReadingTools, seen: Seen, *, now: datetime) -> None:
        self._notion = notion
        self._tools = tools
        self._before: dict[str, Any] = seen.get("pages", {})
        self._order = seen.get("order")
        self._now = now
        self._places: deque[Place] = deque()
        self._met: set[str] = set()
        self._pages: dict[str, Any] = {}
        self._parts: list[Part] = []
        self._skipped: list[str] = []
        self._budget = Budget()

    def over(self, roots: list[Place]) -> Reading:
        for place in roots or self._shared():
            self._add(place)
        if not self._places and not self._before:
            raise Permanent(
                "nothing is shared with this Notion integration: open a page in Notion and add the "
                "integration under Connections"
            )
        refused = self._follow()
        if refused is not None and not self._parts and not self._skipped:
            raise refused
        return self._finish()

    def _shared(self) -> Iterator[Place]:
        """In the order of their making: another one would move every chunk at each edit."""
        found = islice(self._notion.search(), 2 * PAGES_MAX)
        for each in sorted(
            found, key=lambda each: (str(each.get("created_time")), str(each["id"]))
        ):
            if each.get("object") == "page":
                yield Place("page", str(each["id"]), found=each)
            elif each.get("object") == "data_source":
                yield Place("data_source", str(each["id"]))

    def _add(self, place: Place) -> None:
        if place.id in self._met:
            return
        self._met.add(place.id)
        if place.depth > DEPTH_MAX:
            self._skip(f"what is nested deeper than {DEPTH_MAX} pages, the limit, was left out")
            return
        self._places.append(place)

    def _skip(self, sentence: str) -> None:
        if sentence not in self._skipped:
            self._skipped.append(sentence)

    def _follow(self) -> Permanent | None:
        """Look at all places; what could not be found, where that was all there is to say."""
        refused: Permanent | None = None
        done = 0
        while self._places:
            place = self._places.popleft()
            try:
                self._visit(place)
            except NotSharedError as error:
                refused = error
                if self._parts or self._places:
                    name = f"the {place.kind.replace('_', ' ')} {place.id}"
                    self._skip(f"{name} is not there, or not shared with the integration")
            done += 1
            self._tools.step(done, done + len(self._places))
        return refused

    def _visit(self, place: Place) -> None:
        match place.kind:
            case "page":
                self._visit_page(place, place.found or self._notion.page(place.id))
            case "database":
                for id in self._data_sources(place.id):
                    self._add(Place("data_source", id, place.depth))
            case "data_source":
                for found in self._notion.query(place.id):
                    if found.get("object", "page") == "page":
                        self._add(Place("page", str(found.get("id")), place.depth, found))

    def _data_sources(self, id: str) -> list[str]:
        """Those of a database; the id itself where it turns out to name a data source."""
        try:
            database = self._notion.database(id)
        except NotSharedError:
            next(self._notion.query(id), None)
            return [id]
        if is_gone(database):
            return []
        return [str(each.get("id")) for each in database.get("data_sources", [])]

    def _visit_page(self, place: Place, page: Object) -> None:
        title = title_of(page) or place.id
        if is_gone(page):
            if place.depth == 0 and place.found is None:
                self._skip(f"the page {title!r} is in Notion's trash")
            return
        if len(self._pages) == PAGES_MAX:
            raise Permanent(f"this source has more than {PAGES_MAX:,} Notion pages, the limit")
        mark = digest(f"{title}\n{write_properties(page)}".encode())
        before = self._before.get(place.id)
        edited = page.get("last_edited_time")
        if before and before["settled"] and [before["edited"], before["mark"]] == [edited, mark]:
            self._keep(place, page, before)
        else:
            self._read(place, page, mark)

    def _keep(self, place: Place, page: Object, before: Object) -> None:
        self._pages[place.id] = before
        self._parts.append(Part(place.id, None, url_of(page)))
        if reason := before.get("unread"):
            self._skip(reason)
        for kind, id in before["children"]:
            self._add(Place(kind, id, place.depth + 1))

    def _read(self, place: Place, page: Object, mark: str) -> None:
        told: Object = {
            "edited": page.get("last_edited_time"),
            "mark": mark,
            "settled": self._is_settled(page),
            "children": [],
        }
        self._pages[place.id] = told
        try:
            written = write_page({**page, "id": place.id}, self._notion.children)
        except NotSharedError:
            del self._pages[place.id]
            raise
        except PageLimitError as error:
            reason = f"the page {title_of(page) or place.id!r} was left out: {error}"
            told["unread"] = reason
            self._skip(reason)
            return
        self._budget.take(written.document)
        told["settled"] = told["settled"] and written.is_settled
        told["children"] = [list(each) for each in written.found]
        self._parts.append(Part(place.id, written.document, url_of(page)))
        for kind, id in written.found:
            self._add(Place("page" if kind == "page" else "database", id, place.depth + 1))

    def _is_settled(self, page: Object) -> bool:
        try:
            edited = datetime.fromisoformat(str(page.get("last_edited_time")))
            return self._now - edited > SETTLES_AFTER
        except (ValueError, TypeError):
            return False

    def _finish(self) -> Reading:
        order = [part.key for part in self._parts]
        now = {"pages": self._pages, "order": order}
        if order == self._order and all(part.document is None for part in self._parts):
            return unchanged(now)
        return Reading(tuple(self._parts), json.loads(json.dumps(now)), tuple(self._skipped))


def is_gone(found: Object) -> bool:
    return bool(found.get("archived") or found.get("in_trash") or found.get("is_archived"))


def url_of(page: Object) -> str | None:
    url = text_of(page.get("public_url") or page.get("url"))
    return url if url.startswith(("https://", "http://")) else None
