"""Sources of type `api`: a JSON or text endpoint, page after page, each item a document."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from yarl import URL

from db.sources import Source
from pipelines.credentials import Credentials
from pipelines.errors import Permanent
from pipelines.knowledge.document import Document
from pipelines.readers.api_pages import Page, read_pages
from pipelines.readers.api_settings import ApiSettings, parse_settings
from pipelines.readers.budget import Budget
from pipelines.readers.fetched import digest
from pipelines.readers.reading import Part, Reading, Seen, unchanged
from pipelines.readers.tools import ReadingTools
from pipelines.vault import keep_secret

KEY_CHARS_MAX = 200
TITLE_CHARS_MAX = 500
# What one path of `content` may find in an item.
CONTENTS_MAX = 10_000


def read(source: Source, tools: ReadingTools, seen: Seen) -> Reading:
    credentials = tools.vault.unlock(tools.db, source.id)
    return keep_secret(credentials, lambda: _read(source, tools, seen, credentials))


def _read(
    source: Source, tools: ReadingTools, seen: Seen, credentials: Credentials | None
) -> Reading:
    settings = parse_settings(source, credentials)
    collection = Collection(settings, tools, seen)
    # What the first page was says nothing of the pages behind it.
    etag = seen.get("etag") if seen.get("pages") == 1 else None
    for page in read_pages(settings, tools, credentials, etag=etag):
        if page.unchanged:
            return unchanged(seen)
        collection.add(page)
    return collection.finish()


@dataclass(frozen=True, slots=True)
class Item:
    """`mark` changes whenever the document of the item may have."""

    key: str
    value: Any
    mark: str


class Collection:
    """The documents of the pages so far; those whose mark is known are not read again."""

    def __init__(self, settings: ApiSettings, tools: ReadingTools, seen: Seen) -> None:
        self._settings = settings
        self._tools = tools
        self._before: dict[str, str] = seen.get("items", {})
        self._order = seen.get("order")
        self._unread: dict[str, str] = seen.get("unread", {})
        self._marks: dict[str, str] = {}
        self._parts: list[Part] = []
        self._skipped: list[str] = []
        self._refused: dict[str, str] = {}
        self._budget = Budget()
        self._pages: list[Page] = []

    def add(self, page: Page) -> None:
        self._pages.append(replace(page, body=b"", value=None, items=[]))
        if page.ended:
            self._skipped.append(page.ended)
        for done, item in enumerate(self._each(page), start=1):
            self._tools.db.check()
            self._take(item)
            self._tools.step(len(self._marks), len(self._marks) + len(page.items) - done)

    def _each(self, page: Page) -> Iterator[Item]:
        if not self._settings.needs_json:
            kind = page.headers_type or "text/plain"
            yield Item("", (page.body, kind), digest(kind.encode() + b"\0" + page.body))
        for value in page.items:
            written = json.dumps(value, sort_keys=True).encode()
            updated = self._settings.updated and self._settings.updated.first(value)
            mark = digest(written if updated in (None, "") else f"{updated}".encode())
            key = self._key(value, written)
            if key not in self._marks:
                yield Item(key, value, mark)
            elif self._marks[key] != mark:
                self._skipped.append(f"item {key}: another one before it has the same `id`")

    def _key(self, value: Any, written: bytes) -> str:
        if self._settings.items is None:
            return ""
        for path in (self._settings.id, self._settings.link):
            name = path and path.first(value)
            if isinstance(name, str | int) and str(name).strip():
                key = str(name).strip()
                return key if len(key) <= KEY_CHARS_MAX else digest(key.encode())
        return digest(written)

    def _take(self, item: Item) -> None:
        self._marks[item.key] = item.mark
        url = self._url(item.value)
        if self._before.get(item.key) == item.mark:
            if reason := self._unread.get(item.key):
                self._refuse(item.key, reason)
            self._parts.append(Part(item.key, None, url))
            return
        try:
            document = self._parse(item, url)
        except Permanent as error:
            # A single document that cannot be read is all there is to say; of many, it is one.
            if item.key == "":
                raise
            self._refuse(item.key, str(error))
            return
        self._budget.take(document)
        self._parts.append(Part(item.key, document, url))

    def _refuse(self, key: str, reason: str) -> None:
        self._refused[key] = reason
        self._skipped.append(f"item {key}: {reason}")

    def _url(self, value: Any) -> str | None:
        link = self._settings.link and self._settings.link.first(value)
        if not isinstance(link, str) or not link.strip():
            return None
        try:
            url = URL(self._settings.url).join(URL(link.strip()))
        except ValueError:
            return None
        return str(url) if url.scheme in ("http", "https") else None

    def _parse(self, item: Item, url: str | None) -> Document:
        if not self._settings.needs_json:
            body, kind = item.value
            label = self._settings.url.partition("?")[0]
            return self._tools.parser.parse(body, content_type=kind, url=label, name=None)
        title = self._settings.title and self._settings.title.first(item.value)
        if self._settings.content:
            body, kind = self._content(item.value)
        else:
            body, kind = json.dumps(item.value).encode(), "application/json"
        document = self._tools.parser.parse(body, content_type=kind, url=url, name=None)
        if isinstance(title, str | int) and str(title).strip():
            return replace(document, title=" ".join(str(title).split())[:TITLE_CHARS_MAX])
        return document

    def _content(self, value: Any) -> tuple[bytes, str]:
        found = (
            each
            for path in self._settings.content
            for each in path.find(value, found_max=CONTENTS_MAX)
        )
        texts = [_write(each) for each in found if each not in (None, "", [], {})]
        kind = self._settings.content_type or guess_type(texts)
        between = "\n" if kind == "text/html" else "\n\n"
        return between.join(texts).encode(), f"{kind}; charset=utf-8"

    def finish(self) -> Reading:
        if self._refused and len(self._refused) == len(self._marks):
            raise Permanent(
                f"none of the {len(self._marks):,} items of this API can be read: check `content` "
                f"in the settings of this source; {self._skipped[0]}"
            )
        order = digest("\n".join(self._marks).encode())
        now: dict[str, Any] = {
            "items": self._marks,
            "order": order,
            "unread": self._refused,
            "pages": len(self._pages),
        }
        if len(self._pages) == 1 and self._pages[0].etag:
            now["etag"] = self._pages[0].etag
        if self._before == self._marks and self._order == order:
            return unchanged(now)
        return Reading(tuple(self._parts), now, tuple(self._skipped))


def _write(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def guess_type(texts: list[str]) -> str:
    """HTML where an element ends in the text, for no other text has that; else Markdown."""
    is_html = any("</" in text or "<br" in text or "<p>" in text for text in texts)
    return "text/html" if is_html else "text/markdown"
