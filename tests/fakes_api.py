"""A customer's JSON API on 127.0.0.1: five ways of paging, tokens, and every way to go wrong."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.fakes_http import Answer, Call, as_json, serve

TOKEN = "api-token-nobody-may-see/+42"
PAGE_SIZE_MAX = 100


@dataclass
class FakeApi:
    """`articles` are what /articles... lists. `mishaps` answer the n-th call (from 1) instead."""

    url: str
    articles: list[dict[str, Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    mishaps: dict[int, Callable[[Call], Answer]] = field(default_factory=dict)
    pages: dict[str, Answer] = field(default_factory=dict)
    needs_token: bool = False

    def add(self, count: int, *, first: int = 1) -> None:
        for number in range(first, first + count):
            self.articles.append(
                {
                    "id": number,
                    "title": f"Article {number}",
                    "body": f"<p>Number {number} tells of the colour c{number}.</p>",
                    "url": f"/read/{number}",
                    "updated_at": f"2025-01-01T00:00:{number % 60:02}Z",
                }
            )

    def answer(self, call: Call) -> Answer:
        self.calls.append(call)
        if mishap := self.mishaps.get(len(self.calls)):
            return mishap(call)
        if self.needs_token and call.headers.get("authorization") != f"Bearer {TOKEN}":
            return as_json({"error": f"bad token {call.headers.get('authorization')}"}, status=401)
        if fixed := self.pages.get(call.path):
            return fixed
        return self._list(call)

    def _list(self, call: Call) -> Answer:
        asked = {**call.query, **(call.json if call.method == "POST" else {})}
        size = int(asked.get("limit", asked.get("per_page", 10)))
        if not 1 <= size <= PAGE_SIZE_MAX:
            return as_json({"error": "limit must be from 1 to 100"}, status=422)
        start = int(asked.get("offset", asked.get("cursor") or 0))
        if "page" in asked:
            start = (int(asked["page"]) - 1) * size
        shown = self.articles[start : start + size]
        after = start + size if start + size < len(self.articles) else None
        found: dict[str, Any] = {"data": shown, "has_more": after is not None, "cursor": after}
        if after is None:
            return conditional(call, found)
        following = f"{self.url}{call.path}?cursor={after}&limit={size}"
        found["next"] = following
        link = f'<{self.url}/first>; rel="first", <{following}>; rel="next"'
        return conditional(call, found, {"Link": link})


def conditional(call: Call, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    etag = f'"{hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]}"'
    if call.headers.get("if-none-match") == etag:
        return Answer(304, b"", {"ETag": etag})
    return as_json(value, {"ETag": etag, **(headers or {})})


@contextmanager
def api() -> Iterator[FakeApi]:
    with serve(lambda call: fake.answer(call)) as url:
        fake = FakeApi(url)
        yield fake
