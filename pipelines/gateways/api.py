"""Requests to a customer's own JSON or text endpoint, page after page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from yarl import URL

from pipelines.gateways.adapters import Sender
from pipelines.gateways.http import Request, Response
from pipelines.gateways.http_failures import HttpFailure, parse_retry_after, status_failure
from pipelines.gateways.patience import BusyError, Patience

PAGE_BYTES_MAX = 25_000_000
PAGE_DEADLINE_S = 30.0
REDIRECTS_MAX = 5
VALIDATOR_CHARS_MAX = 1_000
ACCEPT = "application/json, text/plain;q=0.9, text/*;q=0.8, */*;q=0.5"
# Answers worth another try within the same reading.
BUSY = frozenset({429, 502, 503, 504})

_ADVICE: Mapping[int, str] = {
    400: "the API refused the request as wrong: check the settings of this source",
    401: "the API refused the sign-in: check the credentials of this source",
    402: "the API wants to be paid",
    403: "the API does not allow this: check what the credentials of this source may read",
    404: "the API has nothing at this address: check the address of this source",
    405: "the API does not know this method: check `method` in the settings of this source",
    410: "what the address stood for is gone for good",
    422: "the API refused the request as wrong: check the settings of this source",
    429: "the API is receiving too many requests",
}


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `label` is its address as messages may show it."""

    url: str = field(repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        # What follows the question mark may be a key.
        return self.url.partition("?")[0]


def fetch(client: Sender, ask: Ask, patience: Patience, *, etag: str | None = None) -> Response:
    """The answer: a success, or 304 for `etag`. Raises Permanent or Transient."""
    return patience.call(lambda: _fetch_once(client, ask, etag))


def _fetch_once(client: Sender, ask: Ask, etag: str | None) -> Response:
    headers = {"Accept": ACCEPT, **({"If-None-Match": etag} if etag else {}), **ask.headers}
    response = client.request(
        Request(
            ask.url,
            method=ask.method,
            headers=headers,
            body=ask.body,
            deadline_s=PAGE_DEADLINE_S,
            body_bytes_max=PAGE_BYTES_MAX,
            # A redirected POST takes its body along, wherever it leads.
            redirects_max=REDIRECTS_MAX if ask.method == "GET" else 0,
        )
    )
    if not (200 <= response.status < 300 or (response.status == 304 and etag)):
        raise refusal(ask, response)
    return response


def refusal(ask: Ask, response: Response) -> HttpFailure | BusyError:
    """Say what a status that is no success means; nothing of the answer's text is repeated."""
    wait_s = parse_retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC))
    failure = status_failure(ask.label, response.status, retry_after_s=wait_s)
    if response.status in BUSY:
        return BusyError(str(failure), retry_after_s=wait_s)
    if 300 <= response.status < 400:
        failure.args = (f"{ask.label} answers with a redirect, which is not followed here",)
    elif advice := _ADVICE.get(response.status):
        failure.args = (f"{ask.label} could not be read: {advice} (HTTP {response.status})",)
    return failure


def etag_of(response: Response) -> str | None:
    """The validator for the next request, where it can be sent back."""
    value = response.headers.get("ETag")
    usable = value and value.isascii() and value.isprintable() and len(value) <= VALIDATOR_CHARS_MAX
    return value if usable else None


def same_origin(url: str, other: str) -> bool:
    return URL(url).origin() == URL(other).origin()
