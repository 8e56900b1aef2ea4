"""The guarded client: every request to an address that a user gave goes through here."""

import asyncio
import concurrent.futures
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from io import BytesIO

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pipelines.gateways.addresses import Egress, check_url
from pipelines.gateways.http_coding import ACCEPT_ENCODING, decode
from pipelines.gateways.http_failures import HttpPermanent, HttpTransient
from pipelines.gateways.http_guard import (
    Destination,
    ImpatientResponse,
    destination,
    guarded_connector,
)
from pipelines.gateways.http_headers import PORTABLE_HEADERS, header_problem, is_reserved
from pipelines.gateways.http_lookup import Lookup, look_up
from pipelines.gateways.http_loop import background_loop
from pipelines.gateways.http_translation import (
    HEADER_LINE_BYTES_MAX,
    HEADER_LINES_MAX,
    translate,
)

USER_AGENT = "AvivroBot/1.0 (+https://avivro.com/bot)"
DEADLINE_S = 15.0
BODY_BYTES_MAX = 5_000_000
# The loop ends a request at its deadline; only a stuck loop makes a caller wait longer.
LOOP_GRACE_S = 5.0

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CHARSET = re.compile(r"""(?i);\s*charset\s*=\s*["']?([^\s"';,]+)""")


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for, and the limits of the answer.

    `deadline_s` covers everything: name look-up, connection, redirects, headers and body.
    `body_bytes_max` holds before and after decompression. With `redirects_max` 0 a redirect is
    an answer like any other. With `body_optional` the status alone counts: a body that is late,
    cut or too long is kept as far as it came, and nothing is decompressed. What is `repeatable`
    is sent again when a connection that was kept alive turns out to be dead: its receiver knows
    by an id what it has had already.
    """

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    deadline_s: float = DEADLINE_S
    body_bytes_max: int = BODY_BYTES_MAX
    redirects_max: int = 0
    body_optional: bool = False
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """`url` is where the last redirect led; `headers` ignores case."""

    status: int
    url: str
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int
    body_complete: bool = True

    @property
    def content_type(self) -> str | None:
        """The media type alone, in lower case."""
        value = self.headers.get("Content-Type", "")
        return value.partition(";")[0].strip().lower() or None

    @property
    def charset(self) -> str | None:
        match = _CHARSET.search(self.headers.get("Content-Type", ""))
        return match[1].lower() if match else None


class Client:
    """Requests for threads and for coroutines, all on the process's one event loop.

    Its connections belong to the process that made them: a forked child makes a client of its own.
    """

    def __init__(
        self, egress: Egress, *, lookup: Lookup = look_up, user_agent: str = USER_AGENT
    ) -> None:
        self._egress = egress
        self._lookup = lookup
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    def request(self, request: Request) -> Response:
        """Send, follow redirects, read the body; raises HttpPermanent or HttpTransient."""
        future = asyncio.run_coroutine_threadsafe(self._exchange(request), background_loop())
        try:
            response = future.result(request.deadline_s + LOOP_GRACE_S)
        except concurrent.futures.TimeoutError as error:
            raise _late(request) from error
        finally:
            future.cancel()
        return response if request.body_optional else _decoded(response, request)

    async def send(self, request: Request) -> Response:
        """As `request`, for callers that run on that loop; the body comes as it was sent.

        No thread waits for it, so thousands may be under way at once.
        """
        return await self._exchange(request)

    def close(self) -> None:
        if self._session is not None:
            closing = asyncio.run_coroutine_threadsafe(self._session.close(), background_loop())
            closing.result(LOOP_GRACE_S)
            self._session = None

    async def _exchange(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + request.deadline_s
        try:
            async with asyncio.timeout_at(deadline):
                answer, url = await self._follow(request)
        except TimeoutError as error:
            raise _late(request) from error
        try:
            body, complete = await _read(answer, request, deadline=deadline)
        finally:
            answer.close()
        elapsed_ms = round((loop.time() - started) * 1000)
        return Response(answer.status, str(url), answer.headers, body, elapsed_ms, complete)

    async def _follow(self, request: Request) -> tuple[aiohttp.ClientResponse, URL]:
        hop = _Hop(
            check_url(request.url),
            request.method,
            _headers(request),
            request.body,
            request.repeatable,
        )
        if request.redirects_max == 0:
            return await self._send(hop), hop.url
        seen = {str(hop.url)}
        while True:
            answer = await self._send(hop, via=request.url if len(seen) > 1 else None)
            if answer.status not in REDIRECTS:
                return answer, hop.url
            answer.close()
            hop = hop.redirected(answer.status, answer.headers)
            if str(hop.url) in seen:
                raise _redirect_failure(request, f"redirects in a loop, back to {hop.url}")
            if len(seen) > request.redirects_max:
                raise _redirect_failure(
                    request, f"redirects more than {request.redirects_max} times, the limit"
                )
            seen.add(str(hop.url))

    async def _send(self, hop: "_Hop", *, via: str | None = None) -> aiohttp.ClientResponse:
        to = Destination(
            hop.url.raw_host or "", hop.url.port or 0, via=via, is_tls=hop.url.scheme == "https"
        )
        destination.set(to)
        try:
            return await self._send_to(to, hop)
        except (aiohttp.ClientError, OSError) as error:
            raise translate(error, to) from error

    async def _send_to(self, to: Destination, hop: "_Hop") -> aiohttp.ClientResponse:
        try:
            return await self._request(hop)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            if not (hop.repeatable and to.has_reused):
                raise
            to.may_reuse = False
            return await self._request(hop)

    async def _request(self, hop: "_Hop") -> aiohttp.ClientResponse:
        return await self._open_session().request(
            hop.method, hop.url, headers=hop.headers, data=hop.body, allow_redirects=False
        )

    def _open_session(self) -> aiohttp.ClientSession:
        # Only ever called on the loop, so two callers cannot both find none.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                response_class=ImpatientResponse,
                connector=guarded_connector(self._egress, lookup=self._lookup),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": self._user_agent},
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type"),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                trust_env=False,
                auto_decompress=False,
                max_line_size=HEADER_LINE_BYTES_MAX,
                max_field_size=HEADER_LINE_BYTES_MAX,
                max_headers=HEADER_LINES_MAX,
            )
        return self._session


@dataclass(frozen=True, slots=True)
class _Hop:
    url: URL
    method: str
    headers: "CIMultiDict[str]"
    body: bytes | None
    repeatable: bool = False

    def redirected(self, status: int, answer: "CIMultiDictProxy[str]") -> "_Hop":
        url = _redirect_target(self.url, answer.get("Location"))
        headers = self.headers
        if url.origin() != self.url.origin():
            kept = PORTABLE_HEADERS | {"accept-encoding"}
            headers = CIMultiDict((k, v) for k, v in headers.items() if k.lower() in kept)
        if status == 303 or (status in (301, 302) and self.method == "POST"):
            return _Hop(url, "HEAD" if self.method == "HEAD" else "GET", headers, None)
        return _Hop(url, self.method, headers, self.body)


def _redirect_target(url: URL, location: str | None) -> URL:
    if not location:
        raise HttpPermanent(f"{url} redirects without saying where to", failure_class="redirect")
    # Some servers send raw bytes; they mean UTF-8, or Latin-1 where that fails.
    if not location.isascii():
        raw = location.encode("utf-8", "surrogateescape")
        location = raw.decode("utf-8") if _is_utf8(raw) else raw.decode("latin-1")
    try:
        # Joining would quote a backslash away, which other clients read as a slash.
        return check_url(location if "\\" in location else str(url.join(URL(location))))
    except (HttpPermanent, ValueError) as error:
        raise HttpPermanent(
            f"{url} redirects to an address that is not accepted: {location[:200]!a}",
            failure_class="redirect",
        ) from error


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _headers(request: Request) -> "CIMultiDict[str]":
    accepted = "identity" if request.body_optional else ACCEPT_ENCODING
    headers = CIMultiDict({"Accept": "*/*", "Accept-Encoding": accepted})
    for name, value in request.headers.items():
        if problem := header_problem(name, value):
            raise HttpPermanent(problem, failure_class="protocol")
        if is_reserved(name):
            raise HttpPermanent(f"the header {name} cannot be set", failure_class="protocol")
        headers[name] = value
    return headers


async def _read(
    answer: aiohttp.ClientResponse, request: Request, *, deadline: float
) -> tuple[bytes, bool]:
    """Read the body up to its limit; False when the rest did not come and need not."""
    body = BytesIO()
    try:
        # What came with the head needs no clock.
        async with nullcontext() if answer.content.is_eof() else asyncio.timeout_at(deadline):
            await _read_into(body, answer, request)
    except HttpPermanent:
        if not request.body_optional:
            raise
    except TimeoutError as error:
        if not request.body_optional:
            raise _late(request) from error
    except (aiohttp.ClientError, OSError) as error:
        if not request.body_optional:
            raise translate(error, destination.get()) from error
    else:
        return body.getvalue(), True
    body.truncate(request.body_bytes_max)
    return body.getvalue(), False


async def _read_into(body: BytesIO, answer: aiohttp.ClientResponse, request: Request) -> None:
    if (answer.content_length or 0) > request.body_bytes_max and not request.body_optional:
        raise _too_large(request, f"is {answer.content_length:,} bytes long")
    while chunk := await answer.content.readany():
        body.write(chunk)
        if body.tell() > request.body_bytes_max:
            raise _too_large(request, "is longer than that")


def _decoded(response: Response, request: Request) -> Response:
    codings = response.headers.get("Content-Encoding")
    if not codings:
        return response
    body = decode(response.body, codings, bytes_max=request.body_bytes_max, subject=request.url)
    return Response(response.status, response.url, response.headers, body, response.elapsed_ms)


def _late(request: Request) -> HttpTransient:
    return HttpTransient(
        f"{request.url} did not answer in full within {request.deadline_s:g} seconds, the limit",
        failure_class="timeout",
    )


def _too_large(request: Request, found: str) -> HttpPermanent:
    return HttpPermanent(
        f"{request.url} is too large: the limit is {request.body_bytes_max:,} bytes,"
        f" and it {found}",
        failure_class="size",
    )


def _redirect_failure(request: Request, what: str) -> HttpPermanent:
    return HttpPermanent(f"{request.url} {what}", failure_class="redirect")
