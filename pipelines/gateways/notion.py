"""Notion's API through its official client, which sends through the guarded one."""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import httpx
from notion_client import Client as NotionClient
from notion_client.errors import HTTPResponseError, NotionClientErrorBase

from pipelines.errors import Permanent, Transient
from pipelines.gateways.adapters import GuardedTransport, Sender
from pipelines.gateways.http_failures import parse_retry_after
from pipelines.gateways.json_values import clean
from pipelines.gateways.patience import BusyError, Patience

BASE_URL = "https://api.notion.com"
# The version whose shapes are read here: databases hold data sources, which hold pages.
VERSION = "2025-09-03"
# Notion's own limits: three requests a second on average, a hundred results a page.
RATE_PER_S = 3.0
BURST = 10
PAGE_SIZE = 100
# More pages of one list than any list has.
LISTINGS_MAX = 1_000
OLDEST_FIRST = [{"timestamp": "created_time", "direction": "ascending"}]

Object = dict[str, Any]


class NotSharedError(Permanent):
    """Not there, or not shared with the integration: Notion tells no difference."""


_ADVICE: Mapping[str, str] = {
    "unauthorized": "Notion refuses the token: enter the integration's current token for this "
    "source",
    "restricted_resource": 'the Notion integration may not read content: allow it "Read content" '
    "in the integration's settings",
    "object_not_found": "a page or database is not there, or not shared with the integration: "
    "open it in Notion and add the integration under Connections",
}
_BUSY = frozenset(
    {"rate_limited", "internal_server_error", "service_unavailable", "gateway_timeout"}
    | {"conflict_error"}
)


class Notion:
    """Read-only; pages of results are followed to their end."""

    def __init__(
        self, sender: Sender, token: str, patience: Patience, *, base_url: str | None = None
    ) -> None:
        self._patience = patience
        self._client = NotionClient(
            auth=token,
            base_url=(base_url or BASE_URL).strip().rstrip("/").removesuffix("/v1"),
            notion_version=VERSION,
            retry=False,
            logger=_silent(),
            client=httpx.Client(transport=GuardedTransport(sender), trust_env=False),
        )

    def search(self) -> Iterator[Object]:
        """Every page and data source that is shared with the integration."""
        return self._list(lambda **paging: self._client.search(**paging))

    def page(self, id: str) -> Object:
        return self._ask(lambda: self._client.pages.retrieve(id))

    def database(self, id: str) -> Object:
        return self._ask(lambda: self._client.databases.retrieve(id))

    def query(self, data_source_id: str) -> Iterator[Object]:
        """The pages that are the rows of a data source, oldest first."""
        return self._list(
            lambda **paging: self._client.data_sources.query(
                data_source_id, sorts=OLDEST_FIRST, **paging
            )
        )

    def children(self, block_id: str) -> Iterator[Object]:
        """The blocks directly inside of a block or page."""
        return self._list(lambda **paging: self._client.blocks.children.list(block_id, **paging))

    def _list(self, ask: Callable[..., Any]) -> Iterator[Object]:
        paging: dict[str, Any] = {"page_size": PAGE_SIZE}
        cursors: set[str] = set()
        for _ in range(LISTINGS_MAX):
            answer = self._ask(lambda: ask(**paging))
            results = answer.get("results")
            if not isinstance(results, list):
                raise _malformed()
            yield from (each for each in results if isinstance(each, dict) and "id" in each)
            cursor = answer.get("next_cursor")
            if not answer.get("has_more") or not isinstance(cursor, str):
                return
            if cursor in cursors:
                raise Permanent("Notion's paging runs in a circle: it names the same cursor twice")
            cursors.add(cursor)
            paging["start_cursor"] = cursor
        raise Permanent(f"a list in Notion has more than {LISTINGS_MAX:,} pages, the limit")

    def _ask(self, ask: Callable[[], Any]) -> Object:
        return self._patience.call(lambda: _ask_once(ask))


def _ask_once(ask: Callable[[], Any]) -> Object:
    try:
        answer = clean(ask())
    except NotionClientErrorBase as error:
        raise translate(error) from error
    except (ValueError, RecursionError) as error:
        raise _malformed() from error
    if not isinstance(answer, dict):
        raise _malformed()
    return cast(Object, answer)


def _malformed() -> BusyError:
    return BusyError("the server did not answer as Notion's API does")


def translate(error: NotionClientErrorBase) -> Permanent | Transient:
    """What an error of Notion means for a source; nothing of its text is repeated."""
    code = str(getattr(error.code, "value", error.code))
    status = getattr(error, "status", None)
    if code == "object_not_found":
        return NotSharedError(_ADVICE[code])
    if code in _ADVICE:
        return Permanent(_ADVICE[code])
    if code in _BUSY or status == 429 or (status or 0) >= 500:
        wait_s = _wait_of(error)
        return BusyError(f"Notion is busy at the moment (HTTP {status})", retry_after_s=wait_s)
    by_status = {401: "unauthorized", 403: "restricted_resource", 404: "object_not_found"}
    if isinstance(status, int) and status in by_status:
        return Permanent(_ADVICE[by_status[status]])
    return Permanent(f"Notion refused the request as wrong (HTTP {status}, {code[:60]})")


def _wait_of(error: NotionClientErrorBase) -> float | None:
    if not isinstance(error, HTTPResponseError):
        return None
    return parse_retry_after(error.headers.get("Retry-After"), now=datetime.now(UTC))


def _silent() -> logging.Logger:
    """The client logs what servers say, and they may say the token."""
    silent = logging.Logger("notion")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    return silent
