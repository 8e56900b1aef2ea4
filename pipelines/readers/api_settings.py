"""What a source of type `api` asks for: its settings, checked and read once."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from db.sources import Source
from pipelines.credentials import Credentials
from pipelines.errors import Permanent
from pipelines.gateways.http_headers import PORTABLE_HEADERS
from pipelines.readers.json_paths import JsonPath, parse_path

PAGES_MAX = 1_000
ITEMS_MAX = 20_000
HEADERS_MAX = 50
CONTENT_PATHS_MAX = 20
PAGE_SIZE_MAX = 10_000

CONTENT_TYPES = ("text/html", "text/markdown", "text/plain")

_PLACE = re.compile(r"\{\{\s*([A-Za-z0-9_.-]{1,100})\s*\}\}")
_AUTHORITY = re.compile(r"[a-z]+://[^/?#]*", re.IGNORECASE)

Way = Literal["next", "cursor", "page", "offset", "link_header"]
WAYS: tuple[Way, ...] = ("next", "cursor", "page", "offset", "link_header")


@dataclass(frozen=True, slots=True)
class Paging:
    """How the next page is found; `way` None where there is only one.

    `path` leads to the next address ("next") or cursor, `more` to whether there
    is one; `param` is what the next request says.
    """

    way: Way | None = None
    path: JsonPath | None = None
    more: JsonPath | None = None
    param: str = ""
    in_body: bool = False
    start: int = 0
    size_param: str | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Places like {{token}} are filled in already."""

    url: str = field(repr=False)
    method: str
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)
    items: JsonPath | None
    id: JsonPath | None
    title: JsonPath | None
    content: tuple[JsonPath, ...]
    content_type: str | None
    link: JsonPath | None
    updated: JsonPath | None
    paging: Paging
    pages_max: int | None
    items_max: int | None

    @property
    def needs_json(self) -> bool:
        has_path = self.paging.way in ("next", "cursor", "page", "offset")
        return self.items is not None or bool(self.content) or has_path


def parse_settings(source: Source, credentials: Credentials | None) -> ApiSettings:
    """Raises Permanent that names the setting which cannot be used."""
    given = source.settings.get("api", source.settings)
    if not isinstance(given, dict):
        raise Permanent("settings.api must be an object")
    method = str(given.get("method", "GET")).upper()
    if method not in ("GET", "POST"):
        raise Permanent(f"settings.api.method is {method[:20]!r}: GET and POST are possible")
    body = fill(given.get("body"), credentials)
    if given.get("paging") and not given.get("items"):
        raise Permanent("settings.api.items is missing: with paging, a page is a list of items")
    return ApiSettings(
        url=_url(source, given, credentials),
        method=method,
        headers=_headers(given, credentials),
        body=body,
        items=_path(given, "items"),
        id=_path(given, "id"),
        title=_path(given, "title"),
        content=_paths(given, "content"),
        content_type=_content_type(given),
        link=_path(given, "link") or _path(given, "url_field"),
        updated=_path(given, "updated"),
        paging=_paging(given.get("paging"), posts_object=method == "POST" and _is_object(body)),
        pages_max=_count(given, "pages_max", PAGES_MAX),
        items_max=_count(given, "items_max", ITEMS_MAX),
    )


def fill(value: Any, credentials: Credentials | None, quoted: Callable[[str], str] = str) -> Any:
    """Put the credentials where {{name}} stands, in all texts of a JSON value."""
    if isinstance(value, str):
        return _PLACE.sub(lambda place: quoted(_credential(credentials, place[1])), value)
    if isinstance(value, list):
        return [fill(inner, credentials, quoted) for inner in value]
    if isinstance(value, dict):
        return {name: fill(inner, credentials, quoted) for name, inner in value.items()}
    return value


def _credential(credentials: Credentials | None, name: str) -> str:
    if credentials is None:
        raise Permanent(
            f"the settings name the credential {name!r}, but this source has no credentials: "
            "enter them for this source"
        )
    return credentials.text(name)


def _url(source: Source, given: Mapping[str, Any], credentials: Credentials | None) -> str:
    url = given.get("url") or source.url
    if not isinstance(url, str) or not url.strip():
        raise Permanent("this source names no address: its `url` is empty")
    authority = _AUTHORITY.match(url.strip())
    if authority and "{{" in authority[0]:
        raise Permanent("a credential cannot be part of the host of the address")
    filled: str = fill(url.strip(), credentials, lambda value: quote(value, safe=""))
    return filled


def _headers(given: Mapping[str, Any], credentials: Credentials | None) -> dict[str, str]:
    headers = _object(given.get("headers"), "headers")
    if len(headers) > HEADERS_MAX:
        raise Permanent(f"settings.api.headers has {len(headers)}, the limit is {HEADERS_MAX}")
    for name, value in headers.items():
        if not isinstance(value, str | int | float):
            raise Permanent(f"settings.api.headers: {name[:100]!r} must be a text")
        # These follow redirects to wherever they lead.
        if name.lower() in PORTABLE_HEADERS and _PLACE.search(str(value)):
            raise Permanent(f"settings.api.headers: {name!r} cannot hold a credential")
    filled = {name: str(fill(str(value), credentials)) for name, value in headers.items()}
    return filled | _basic(_object(given.get("basic_auth"), "basic_auth"), credentials)


def _basic(given: Mapping[str, Any], credentials: Credentials | None) -> dict[str, str]:
    if not given:
        return {}
    pair = [str(fill(given.get(name, ""), credentials)) for name in ("username", "password")]
    return {"Authorization": "Basic " + base64.b64encode(":".join(pair).encode()).decode()}


def _paths(given: Mapping[str, Any], name: str) -> tuple[JsonPath, ...]:
    value = given.get(name)
    listed = value if isinstance(value, list) else [value] if value else []
    if len(listed) > CONTENT_PATHS_MAX:
        raise Permanent(f"settings.api.{name} has more than {CONTENT_PATHS_MAX} paths, the limit")
    return tuple(parse_path(path, f"settings.api.{name}") for path in listed)


def _path(given: Mapping[str, Any], name: str) -> JsonPath | None:
    value = given.get(name)
    return None if value in (None, "") else parse_path(value, f"settings.api.{name}")


def _content_type(given: Mapping[str, Any]) -> str | None:
    value = given.get("content_type")
    if value is not None and value not in CONTENT_TYPES:
        raise Permanent(f"settings.api.content_type must be one of {', '.join(CONTENT_TYPES)}")
    return value


def _count(given: Mapping[str, Any], name: str, most: int) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if not _is_count(value) or not 1 <= value <= most:
        raise Permanent(f"settings.api.{name} must be a number from 1 to {most:,}")
    return int(value)


def _paging(value: Any, *, posts_object: bool) -> Paging:
    given = _object(value, "paging")
    ways = [way for way in WAYS if given.get(way) not in (None, False)]
    if not ways:
        if given:
            raise Permanent(f"settings.api.paging must name one of {', '.join(WAYS)}")
        return Paging()
    if len(ways) > 1:
        raise Permanent(f"settings.api.paging names {' and '.join(ways)}: one is possible")
    (way,) = ways
    if way == "link_header":
        return Paging(way)
    chosen = given[way]
    told = {"path": chosen} if isinstance(chosen, str) else _object(chosen, f"paging.{way}")
    return _read_paging(way, told, posts_object=posts_object)


def _read_paging(way: Way, told: Mapping[str, Any], *, posts_object: bool) -> Paging:
    where = f"settings.api.paging.{way}"
    place = told.get("in", "body" if posts_object else "query")
    if place not in ("query", "body") or (place == "body" and not posts_object):
        raise Permanent(f"{where}.in must be query, or body with POST and an object as body")
    defaults = {"page": "page", "offset": "offset", "cursor": "cursor"}
    numbers = {
        "start": _number(told.get("start", 1 if way == "page" else 0), f"{where}.start"),
        "size": _number(told.get("size", 0), f"{where}.size"),
    }
    if way == "offset" and numbers["size"] == 0:
        raise Permanent(f"{where}.size is missing: how many items a page has")
    needs_path = way in ("next", "cursor")
    return Paging(
        way,
        path=parse_path(told.get("path"), f"{where}.path") if needs_path else None,
        more=parse_path(told["more"], f"{where}.more") if told.get("more") else None,
        param=_name(told.get("param", defaults.get(way, "")), f"{where}.param"),
        in_body=place == "body",
        start=numbers["start"],
        size_param=_name(told.get("size_param", ""), f"{where}.size_param") or None,
        size=numbers["size"],
    )


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > 100:
        raise Permanent(f"{where} must be the name of a parameter")
    return value


def _number(value: Any, where: str) -> int:
    if not _is_count(value) or value > PAGE_SIZE_MAX:
        raise Permanent(f"{where} must be a number from 0 to {PAGE_SIZE_MAX:,}")
    return int(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _object(value: Any, name: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Permanent(f"settings.api.{name} must be an object")
    return value


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
