"""The pages of an API, one request after the other, until there are no more."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from yarl import URL

from pipelines.credentials import Credentials
from pipelines.errors import Permanent
from pipelines.gateways.api import Ask, etag_of, fetch, same_origin
from pipelines.gateways.http import Response
from pipelines.gateways.http_failures import HttpPermanent
from pipelines.gateways.json_values import clean
from pipelines.gateways.patience import Patience
from pipelines.knowledge.charset import decode_text
from pipelines.readers.api_settings import ITEMS_MAX, PAGES_MAX, ApiSettings
from pipelines.readers.fetched import digest
from pipelines.readers.tools import ReadingTools

CURSOR_CHARS_MAX = 4_000

_NEXT_LINK = re.compile(r"""<([^<>]{1,8000})>\s*(?:;[^,<]{0,500})?;\s*rel\s*=\s*["']?next\b""")


@dataclass(frozen=True, slots=True)
class Page:
    """`value` is the decoded JSON, None where none is needed. `ended` says why no more follow."""

    number: int
    body: bytes
    headers_type: str | None
    value: Any
    items: list[Any]
    etag: str | None = None
    unchanged: bool = False
    ended: str | None = None


def read_pages(
    settings: ApiSettings,
    tools: ReadingTools,
    credentials: Credentials | None,
    *,
    etag: str | None,
) -> Iterator[Page]:
    """Each page as soon as it is there. `etag` is that of a first page which was the only one."""
    patience, ask, items = Patience(tools.db.check), _first(settings), 0
    seen: set[str] = set()
    for number in range(1, PAGES_MAX + 1):
        try:
            response = fetch(tools.client, ask, patience, etag=etag if number == 1 else None)
        except HttpPermanent as error:
            if _is_past_the_end(settings, number, error):
                return
            raise
        page = _read(settings, response, credentials, number)
        items += len(page.items)
        if items > ITEMS_MAX:
            raise Permanent(f"this API holds more than {ITEMS_MAX:,} items, the limit")
        following = None if page.unchanged else _next(settings, ask, page, response)
        ended = None
        if following is not None:
            is_repeated = digest(page.body) in seen
            seen |= {_name(ask), digest(page.body)}
            is_repeated = is_repeated or _name(following) in seen
            ended = _circle(number) if is_repeated else _enough(settings, number, items)
        yield replace(page, ended=ended)
        if following is None or ended:
            return
        ask = following
    raise Permanent(f"this API has more than {PAGES_MAX:,} pages, the limit")


def _is_past_the_end(settings: ApiSettings, number: int, error: HttpPermanent) -> bool:
    """Where pages are counted, many servers say 404 for the one behind a full last one."""
    return error.status == 404 and number > 1 and settings.paging.way in ("page", "offset")


def _circle(number: int) -> str:
    return f"the API's paging runs in a circle: reading ended after page {number:,}"


def _enough(settings: ApiSettings, number: int, items: int) -> str | None:
    if settings.pages_max is not None and number >= settings.pages_max:
        return f"reading ended after page {number:,}, as pages_max says"
    if settings.items_max is not None and items >= settings.items_max:
        return f"reading ended after {items:,} items, as items_max says"
    return None


def _name(ask: Ask) -> str:
    return digest(f"{ask.url}\n".encode() + (ask.body or b""))


def _first(settings: ApiSettings) -> Ask:
    paging, given = settings.paging, {}
    if paging.way in ("page", "offset"):
        given[paging.param] = paging.start
    if paging.size_param and paging.size:
        given[paging.size_param] = paging.size
    return _asking(settings, given)


def _asking(settings: ApiSettings, given: dict[str, Any]) -> Ask:
    """The settings' own request, with `given` parameters where the paging wants them."""
    url, body = settings.url, settings.body
    if given and settings.paging.in_body:
        body = {**body, **given}
    elif given:
        url = str(URL(url).update_query({name: str(value) for name, value in given.items()}))
    headers = dict(settings.headers)
    if settings.method == "GET" or body is None:
        return Ask(url, settings.method, headers)
    named = {name.lower() for name in headers}
    if not isinstance(body, str) and "content-type" not in named:
        headers["Content-Type"] = "application/json"
    text = body if isinstance(body, str) else json.dumps(body)
    return Ask(url, settings.method, headers, text.encode("utf-8", "replace"))


def _read(
    settings: ApiSettings, response: Response, credentials: Credentials | None, number: int
) -> Page:
    kind = response.headers.get("Content-Type")
    if response.status == 304:
        return Page(number, b"", kind, None, [], unchanged=True)
    body = response.body
    if credentials is not None:
        # Some APIs repeat what they were sent: it must not become knowledge.
        body = credentials.redact_bytes(body)
    etag = etag_of(response)
    if credentials is not None and etag and credentials.show_in(etag):
        etag = None
    if not settings.needs_json:
        return Page(number, body, kind, None, [], etag)
    value = _decode(body, response.charset, number)
    return Page(number, body, kind, value, _items(settings, value, number), etag)


def _decode(body: bytes, charset: str | None, number: int) -> Any:
    where = "the API's answer" if number == 1 else f"page {number:,} of the API"
    try:
        return clean(json.loads(decode_text(body, charset)))
    except RecursionError as error:
        raise Permanent(f"{where} is nested too deeply to be read") from error
    except ValueError as error:
        raise Permanent(
            f"{where} is not valid JSON, which the settings of this source ask for"
        ) from error


def _items(settings: ApiSettings, value: Any, number: int) -> list[Any]:
    if settings.items is None:
        return [value]
    items = settings.items.find(value, found_max=ITEMS_MAX + 1)
    # A path to the list means what is in it.
    if len(items) == 1 and isinstance(items[0], list):
        return items[0][: ITEMS_MAX + 1]
    if not items and number == 1 and not settings.items.leads_to_empty(value):
        raise Permanent(
            f"the path {settings.items.text!r} finds nothing in the API's answer: check `items` "
            "in the settings of this source"
        )
    return items


def _next(settings: ApiSettings, ask: Ask, page: Page, response: Response) -> Ask | None:
    paging = settings.paging
    match paging.way:
        case None:
            return None
        case "link_header":
            links = ", ".join(
                value for name, value in response.headers.items() if name.lower() == "link"
            )
            found = _NEXT_LINK.search(links)
            return _ask_at(settings, ask, response.url, found[1]) if found else None
        case "page" | "offset":
            if not page.items or len(page.items) < paging.size:
                return None
            step = page.number * (1 if paging.way == "page" else paging.size)
            return _asking(settings, _with_size(settings, paging.start + step))
        case _:
            return _ask_for(settings, ask, page, response)


def _ask_for(settings: ApiSettings, ask: Ask, page: Page, response: Response) -> Ask | None:
    """The next page as the answer itself names it: by an address, or by a cursor."""
    paging = settings.paging
    assert paging.path is not None
    if paging.more is not None and not paging.more.first(page.value):
        return None
    cursor = paging.path.first(page.value)
    if cursor in (None, "", False):
        return None
    if not isinstance(cursor, str | int) or len(str(cursor)) > CURSOR_CHARS_MAX:
        raise Permanent(f"the path {paging.path.text!r} does not lead to the next page")
    if paging.param:
        return _asking(settings, _with_size(settings, cursor))
    return _ask_at(settings, ask, response.url, str(cursor))


def _with_size(settings: ApiSettings, value: str | int) -> dict[str, Any]:
    paging = settings.paging
    given: dict[str, Any] = {paging.param: value}
    if paging.size_param and paging.size:
        given[paging.size_param] = paging.size
    return given


def _ask_at(settings: ApiSettings, ask: Ask, base: str, address: str) -> Ask:
    """The same request at another address of the same server: it carries the credentials."""
    try:
        url = URL(base).join(URL(address))
        first = URL(settings.url)
        # Behind a proxy that ends TLS, many servers call themselves http.
        if (url.scheme, first.scheme, url.host) == ("http", "https", first.host):
            url = url.with_scheme("https").with_port(first.explicit_port)
        if not same_origin(str(url), settings.url):
            raise Permanent(
                f"the API names a next page on another server, {str(url.origin())!r}: it is not "
                "followed, because it would be sent your credentials"
            )
    except ValueError as error:
        raise Permanent("the API names a next page whose address cannot be read") from error
    return replace(ask, url=str(url))
