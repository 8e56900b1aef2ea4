"""aiohttp's and the system's errors, said in our words: once, here."""

import errno
import socket
import ssl
from collections.abc import Mapping

import aiohttp

from pipelines.gateways.http_failures import FailureClass, HttpFailure, HttpPermanent, HttpTransient
from pipelines.gateways.http_guard import Destination, MalformedBodyError

HEADER_LINE_BYTES_MAX = 16_384
HEADER_LINES_MAX = 128

# These two say that the name has no address; every other answer says that nobody knows just now.
_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})

_CONNECT_WORDS: Mapping[int | None, str] = {
    errno.ECONNREFUSED: "it refused the connection",
    errno.ECONNRESET: "it reset the connection",
    errno.EHOSTUNREACH: "the host is unreachable",
    errno.ENETUNREACH: "the network is unreachable",
    errno.ETIMEDOUT: "it did not answer",
}


def translate(error: aiohttp.ClientError | OSError, to: Destination) -> HttpFailure:
    """Say which failure `error` is; `to` tells which host, and whether its address was refused."""
    if to.refused is not None:
        return _permanent(to, "blocked", f"{to.host} leads to {to.refused}, which is off limits")
    match error:
        case aiohttp.ClientConnectorCertificateError():
            words = _tls_words(error)
            return _permanent(to, "tls", f"{to.host} has no valid certificate: {words}")
        case aiohttp.ClientConnectorSSLError() | ssl.SSLError():
            return _tls_failure(error, to)
        case aiohttp.ClientConnectorDNSError():
            return _dns_failure(error.os_error, to)
        case aiohttp.ClientConnectorError(os_error=ConnectionResetError()) if to.is_tls:
            words = "it broke off the handshake"
            return _transient(to, "tls", f"no secure connection to {to.host}: {words}")
        case aiohttp.ClientConnectorError():
            words = _CONNECT_WORDS.get(error.os_error.errno, "the connection failed")
            return _transient(to, "connect", f"could not connect to {to.host}:{to.port}: {words}")
        case aiohttp.ClientResponseError():
            return _malformed(error, to)
        case MalformedBodyError():
            return _permanent(to, "protocol", f"{to.host} did not answer in valid HTTP")
        case aiohttp.InvalidURL():
            return _permanent(to, "blocked", f"the address of {to.host} cannot be read")
        case _:
            return _transient(to, "protocol", f"{to.host} broke off before its answer was complete")


def _permanent(to: Destination, failure_class: FailureClass, message: str) -> HttpPermanent:
    return HttpPermanent(_with_origin(to, message), failure_class=failure_class)


def _transient(to: Destination, failure_class: FailureClass, message: str) -> HttpTransient:
    return HttpTransient(_with_origin(to, message), failure_class=failure_class)


def _with_origin(to: Destination, message: str) -> str:
    return message if to.via is None else f"{to.via} redirects to {to.host}: {message}"


def _dns_failure(error: OSError, to: Destination) -> HttpFailure:
    if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_HOST:
        return _permanent(to, "dns", f"the host {to.host} does not exist (no DNS entry)")
    return _transient(to, "dns", f"the host {to.host} could not be looked up (DNS gave no answer)")


def _tls_failure(error: OSError, to: Destination) -> HttpFailure:
    message = f"no secure connection to {to.host}: {_tls_words(error)}"
    inner = getattr(error, "os_error", error)
    if isinstance(inner, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
        return _transient(to, "tls", message)
    return _permanent(to, "tls", message)


def _tls_words(error: Exception) -> str:
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    reason = getattr(inner, "reason", None) or "the handshake failed"
    return str(reason).replace("_", " ").lower()


def _malformed(error: aiohttp.ClientResponseError, to: Destination) -> HttpPermanent:
    if "Got more than" in error.message or "Too many headers" in error.message:
        return _permanent(
            to,
            "size",
            f"{to.host} sent headers beyond the limit of"
            f" {HEADER_LINES_MAX} lines of {HEADER_LINE_BYTES_MAX} bytes",
        )
    return _permanent(to, "protocol", f"{to.host} did not answer in valid HTTP")
