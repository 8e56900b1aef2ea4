"""Notion's API on 127.0.0.1, version 2025-09-03: as strict as the real one where we touch it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid5

from tests.fakes_http import Answer, Call, as_json, serve

TOKEN = "ntn_never_to_be_seen_4711"
VERSION = "2025-09-03"
RESULTS_MAX = 100
NAMESPACE = UUID(int=7)
LISTING_KEYS = {"start_cursor", "page_size"}
SEARCH_KEYS = LISTING_KEYS | {"query", "filter", "sort"}
QUERY_KEYS = LISTING_KEYS | {"filter", "sorts", "archived", "in_trash", "result_type"}


def id_of(name: str) -> str:
    return str(uuid5(NAMESPACE, name))


def words(text: str, link: str | None = None) -> list[dict[str, Any]]:
    """Rich text of one span."""
    content = {"content": text, "link": {"url": link} if link else None}
    return [{"type": "text", "text": content, "plain_text": text, "href": link, "annotations": {}}]


def block(kind: str, text: str | None = None, *inside: Any, **fields: Any) -> dict[str, Any]:
    """A block as `blocks` holds it: its children lie under "inside" until they are asked for."""
    told = {**({"rich_text": words(text)} if text is not None else {}), **fields}
    return {"type": kind, kind: told, "inside": list(inside)}


@dataclass
class FakeNotion:
    """Pages by id with their blocks; databases hold data sources, those hold pages."""

    url: str
    token: str = TOKEN
    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    blocks: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    data_sources: dict[str, list[str]] = field(default_factory=dict)
    unshared: set[str] = field(default_factory=set)
    calls: list[Call] = field(default_factory=list)
    mishaps: dict[int, Callable[[Call], Answer]] = field(default_factory=dict)
    results_max: int = RESULTS_MAX

    def add_page(
        self,
        name: str,
        *blocks: dict[str, Any],
        edited: str = "2025-01-01T10:00:00.000Z",
        properties: dict[str, Any] | None = None,
        parent: dict[str, Any] | None = None,
    ) -> str:
        id = id_of(name)
        titled = {"title": {"id": "title", "type": "title", "title": words(name)}}
        self.pages[id] = {
            "object": "page",
            "id": id,
            "created_time": f"2024-01-01T10:{len(self.pages) % 60:02}:00.000Z",
            "last_edited_time": edited,
            "archived": False,
            "in_trash": False,
            "parent": parent or {"type": "workspace", "workspace": True},
            "properties": {**titled, **(properties or {})},
            "url": f"https://www.notion.so/{name.replace(' ', '-')}-{id.replace('-', '')}",
            "public_url": None,
        }
        self._keep(id, list(blocks))
        return id

    def edit(self, id: str, *blocks: dict[str, Any], edited: str) -> None:
        self.pages[id]["last_edited_time"] = edited
        self._keep(id, list(blocks))

    def add_database(self, name: str, rows: list[str]) -> str:
        """A database with one data source that holds these pages."""
        id, data_source = id_of(name), id_of(f"{name} source")
        self.databases[id] = {
            "object": "database",
            "id": id,
            "title": words(name),
            "in_trash": False,
            "data_sources": [{"id": data_source, "name": name}],
        }
        self.data_sources[data_source] = rows
        return id

    def _keep(self, id: str, blocks: list[dict[str, Any]]) -> None:
        self.blocks[id] = []
        for place, given in enumerate(blocks):
            own = given.get("id") or id_of(f"{id} {place} {given['type']}")
            inside = given.get("inside", [])
            kept = {name: value for name, value in given.items() if name != "inside"}
            has_children = bool(inside)
            self.blocks[id].append(
                {"object": "block", "id": own, **kept, "has_children": has_children}
            )
            if not given["type"].startswith("child_"):
                self._keep(own, inside)

    def asked(self, part: str) -> int:
        return sum(part in call.path for call in self.calls)

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        if mishap := self.mishaps.get(len(self.calls)):
            return mishap(call)
        if call.headers.get("authorization") != f"Bearer {self.token}":
            echo = f"API token {call.headers.get('authorization')} is invalid."
            return failed(401, "unauthorized", echo)
        if call.headers.get("notion-version") != VERSION:
            return failed(400, "missing_version", "Notion-Version header should be defined")
        return self._route(call)

    def _route(self, call: Call) -> Answer:
        route = f"{call.method} {re.sub(r'[0-9a-f-]{32,36}', '*', call.path)}"
        ids = re.findall(r"[0-9a-f-]{32,36}", call.path)
        id = str(UUID(ids[0])) if ids else ""
        if id in self.unshared:
            return missing(id)
        match route:
            case "POST /v1/search":
                found = [{"object": "data_source", "id": id} for id in self.data_sources]
                pages = [page for page in self.pages.values() if page["id"] not in self.unshared]
                return self._listing(call, [*pages, *found], call.json, SEARCH_KEYS)
            case "GET /v1/pages/*":
                return as_json(self.pages[id]) if id in self.pages else missing(id)
            case "GET /v1/databases/*":
                return as_json(self.databases[id]) if id in self.databases else missing(id)
            case "POST /v1/data_sources/*/query":
                if id not in self.data_sources:
                    return missing(id)
                rows = [self.pages[row] for row in self.data_sources[id]]
                rows = [row for row in rows if not row["in_trash"]]
                return self._listing(call, rows, call.json, QUERY_KEYS)
            case "GET /v1/blocks/*/children":
                if id not in self.blocks:
                    return missing(id)
                return self._listing(call, self.blocks[id], call.query, LISTING_KEYS)
        return failed(400, "invalid_request_url", "Invalid request URL.")

    def _listing(self, call: Call, found: list[Any], asked: Any, known: set[str]) -> Answer:
        if set(asked) - known:
            return failed(400, "validation_error", f"unknown: {set(asked) - known}")
        size = int(asked.get("page_size", RESULTS_MAX))
        if not 1 <= size <= RESULTS_MAX:
            return failed(400, "validation_error", "page_size should be from 1 to 100")
        size = min(size, self.results_max)
        cursor = asked.get("start_cursor", str(UUID(int=0)))
        try:
            start = UUID(cursor).int
        except ValueError:
            return failed(400, "validation_error", "start_cursor should be a valid uuid")
        after = start + size
        has_more = after < len(found)
        return as_json(
            {
                "object": "list",
                "results": found[start:after],
                "has_more": has_more,
                "next_cursor": str(UUID(int=after)) if has_more else None,
            }
        )


def failed(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Answer:
    said = {"object": "error", "status": status, "code": code, "message": message}
    named = {"Content-Type": "application/json", **(headers or {})}
    return Answer(status, json.dumps(said).encode(), named)


def missing(id: str) -> Answer:
    return failed(404, "object_not_found", f"Could not find object with ID: {id}.")


def rate_limited(wait_s: int) -> Callable[[Call], Answer]:
    message = "You have been rate limited. Please try again in a few minutes."
    return lambda call: failed(429, "rate_limited", message, {"Retry-After": str(wait_s)})


@contextmanager
def notion() -> Iterator[FakeNotion]:
    with serve(lambda call: fake.answer(call)) as url:
        fake = FakeNotion(url)
        yield fake
