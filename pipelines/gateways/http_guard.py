"""Connections that can only reach checked addresses, however the address was found."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Any

import certifi
from aiohttp import ClientPayloadError, ClientResponse, StreamReader, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import RawResponseMessage

from pipelines.gateways.addresses import Egress, is_forbidden
from pipelines.gateways.http_lookup import Lookup, Lookups

SocketFactory = Callable[[tuple[int, int, int, str, tuple[str, int]]], socket.socket]

INTERIM_ANSWERS_MAX = 16
HEAD_END = b"\r\n\r\n"
BODILESS = frozenset({204, 304})
# Many servers close what was idle for 5 s: a POST must not meet that moment.
KEEP_ALIVE_S = 4


@dataclass(slots=True)
class Destination:
    """Where the running request is going.

    `via` is the address that redirected there; `refused` is why, once its address was forbidden.
    `may_reuse` allows for a connection that was kept alive, `has_reused` says that it was one.
    """

    host: str
    port: int
    via: str | None = None
    refused: str | None = None
    is_tls: bool = False
    may_reuse: bool = True
    has_reused: bool = False


# The socket factory is told an address, but an exception for a host needs the host's name too.
destination: ContextVar[Destination] = ContextVar("destination")


class ImpatientResponse(ClientResponse):
    """Gives up on a server that sends one interim answer (100 Continue) after the other."""

    async def start(self, connection: Connection) -> ClientResponse:
        protocol = connection.protocol
        assert protocol is not None
        left = INTERIM_ANSWERS_MAX
        read = protocol.read

        async def read_next() -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise HttpProcessingError(message="too many interim answers")
            return await read()

        protocol.read = read_next  # type: ignore[method-assign]
        try:
            return await super().start(connection)
        finally:
            del protocol.read


class MalformedBodyError(ClientPayloadError):
    """What follows the head is not what the head announced."""


class HeadFirst(ResponseHandler):
    """Parses a head before what came with it: else rubbish after a head takes that along."""

    def data_received(self, data: bytes) -> None:
        for _ in range(INTERIM_ANSWERS_MAX):
            end = data.find(HEAD_END) + len(HEAD_END)
            if end < len(HEAD_END) or end == len(data):
                break
            super().data_received(data[:end])
            data = data[end:]
        super().data_received(data)
        # The parser forgets the body that it fails in: its reader would wait for the deadline.
        body = self._payload
        if self.exception() is not None and body is not None and not body.is_eof():
            body.set_exception(MalformedBodyError())

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """What an answer announces and must not have would be taken for the next one's head."""
        message, _ = data
        if message.code in BODILESS and message.headers.get("Content-Length", "0") != "0":
            self.force_close()
        super().feed_data(data, size)


class GuardedConnector(TCPConnector):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._factory = partial(  # type: ignore[assignment]
            HeadFirst, loop=asyncio.get_running_loop()
        )

    async def _get(self, key: ConnectionKey, traces: list[Any]) -> Connection | None:
        to = destination.get()
        kept = await super()._get(key, traces) if to.may_reuse else None
        to.has_reused = kept is not None
        return kept


class AddressRefusedError(OSError):
    """An OSError, because the connector loses every other kind on its way up."""


def guarded_connector(egress: Egress, *, lookup: Lookup) -> TCPConnector:
    """Build a connector; needs a running loop.

    The resolver refuses a name with any forbidden address; the socket factory sees the very
    address that is connected to, and so literals and rebinding as well.
    """
    return GuardedConnector(
        resolver=CheckedResolver(egress, lookup=lookup),
        socket_factory=_checked_sockets(egress),
        ssl=_trust(),
        use_dns_cache=False,
        limit=0,
        keepalive_timeout=KEEP_ALIVE_S,
    )


class CheckedResolver(AbstractResolver):
    def __init__(self, egress: Egress, *, lookup: Lookup) -> None:
        self._egress = egress
        self._lookups = Lookups(lookup)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        addresses = await self._lookups.find(host)
        for address in addresses:
            _refuse_forbidden(address, egress=self._egress)
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Nothing is held."""


def _checked_sockets(egress: Egress) -> SocketFactory:
    def open_socket(target: tuple[int, int, int, str, tuple[str, int]]) -> socket.socket:
        family, kind, protocol, _, sockaddr = target
        _refuse_forbidden(sockaddr[0], egress=egress)
        return socket.socket(family, kind, protocol)

    return open_socket


def _refuse_forbidden(address: str, *, egress: Egress) -> None:
    to = destination.get()
    reason = is_forbidden(ip_address(address), host=to.host, port=to.port, egress=egress)
    if reason is not None:
        to.refused = reason
        raise AddressRefusedError(f"{address} is {reason}")


def _result(host: str, address: str, port: int) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET6 if ":" in address else socket.AF_INET,
        proto=0,
        flags=socket.AI_NUMERICHOST,
    )


def _trust() -> ssl.SSLContext:
    # The system's authorities (or SSL_CERT_FILE) and certifi's: slim images ship none.
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context
