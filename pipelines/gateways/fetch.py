"""Reading one page or file from the web, within the limits of a knowledge source."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urljoin

from pipelines.gateways.addresses import check_url
from pipelines.gateways.http import REDIRECTS, Request, Response
from pipelines.gateways.http_failures import HttpPermanent, parse_retry_after, status_failure
from pipelines.gateways.polite import Requester

FETCH_DEADLINE_S = 15.0
PAGE_BYTES_MAX = 25_000_000
FILE_BYTES_MAX = 50_000_000
REDIRECTS_MAX = 10
VALIDATOR_CHARS_MAX = 1_000
CONDITIONS = ("If-None-Match", "If-Modified-Since")

log = logging.getLogger(__name__)

PAGE_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,text/plain;q=0.9,*/*;q=0.8"


@dataclass(frozen=True, slots=True)
class Page:
    """What a site answered; `url` is where its redirects led.

    With `unchanged` the site says that the page is what `etag` or `last_modified` stand for, and
    `body` is empty. The two are what the next conditional request has to send.
    """

    url: str
    body: bytes
    content_type: str | None
    charset: str | None
    etag: str | None
    last_modified: str | None
    headers: Mapping[str, str]
    unchanged: bool = False


def fetch_page(
    client: Requester, url: str, *, etag: str | None = None, last_modified: str | None = None
) -> Page:
    """Read a web page of at most PAGE_BYTES_MAX; raises HttpPermanent or HttpTransient."""
    headers = {"Accept": PAGE_ACCEPT, **_conditions(etag, last_modified)}
    return _fetch(client, _request(url, headers, bytes_max=PAGE_BYTES_MAX))


@dataclass(frozen=True, slots=True)
class Moved:
    """The address that a page's first redirect names."""

    to: str


def fetch_hop(
    client: Requester, url: str, *, etag: str | None = None, last_modified: str | None = None
) -> Page | Moved:
    """As fetch_page, but a redirect is the answer: who crawls decides where it may lead."""
    headers = {"Accept": PAGE_ACCEPT, **_conditions(etag, last_modified)}
    request = replace(_request(url, headers, bytes_max=PAGE_BYTES_MAX), redirects_max=0)
    response = client.request(request)
    location = response.headers.get("Location")
    if response.status in REDIRECTS and location:
        return Moved(_join(url, location))
    return _page(request, response)


def fetch_file(
    client: Requester, url: str, *, etag: str | None = None, last_modified: str | None = None
) -> Page:
    """Read a file of at most FILE_BYTES_MAX; raises HttpPermanent or HttpTransient."""
    headers = _conditions(etag, last_modified)
    return _fetch(client, _request(url, headers, bytes_max=FILE_BYTES_MAX))


def _request(url: str, headers: Mapping[str, str], *, bytes_max: int) -> Request:
    return Request(
        url,
        headers=headers,
        deadline_s=FETCH_DEADLINE_S,
        body_bytes_max=bytes_max,
        redirects_max=REDIRECTS_MAX,
    )


def _fetch(client: Requester, request: Request) -> Page:
    return _page(request, client.request(request))


def _join(url: str, location: str) -> str:
    try:
        return str(check_url(urljoin(url, location)))
    except ValueError as error:
        raise HttpPermanent(
            f"{url} redirects to an address that cannot be read", failure_class="redirect"
        ) from error


def _page(request: Request, response: Response) -> Page:
    sent_etag = request.headers.get("If-None-Match")
    sent_modified = request.headers.get("If-Modified-Since")
    unchanged = response.status == 304 and bool(sent_etag or sent_modified)
    if not (200 <= response.status < 300 or unchanged):
        raise _refusal(request.url, response)
    # What follows the question mark of a signed address is a key.
    address, status = response.url.partition("?")[0], response.status
    log.info("fetched %s bytes from %s (HTTP %d)", f"{len(response.body):,}", address, status)
    return Page(
        url=response.url,
        body=response.body,
        content_type=response.content_type,
        charset=response.charset,
        etag=_validator(response, "ETag") or (sent_etag if unchanged else None),
        last_modified=_validator(response, "Last-Modified")
        or (sent_modified if unchanged else None),
        headers=response.headers,
        unchanged=unchanged,
    )


def _conditions(etag: str | None, last_modified: str | None) -> dict[str, str]:
    conditions = zip(CONDITIONS, (etag, last_modified), strict=True)
    return {name: value for name, value in conditions if value}


def _validator(response: Response, name: str) -> str | None:
    # Stored and sent back: one that could not be sent again is as good as none.
    value = response.headers.get(name)
    usable = value and value.isascii() and value.isprintable() and len(value) <= VALIDATOR_CHARS_MAX
    return value if usable else None


def _refusal(url: str, response: Response) -> Exception:
    if 300 <= response.status < 400:
        return HttpPermanent(
            f"{url} answers with a redirect that leads nowhere (HTTP {response.status})",
            failure_class="redirect",
            status=response.status,
        )
    wait_s = parse_retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC))
    return status_failure(response.url, response.status, retry_after_s=wait_s)
