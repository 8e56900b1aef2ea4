"""What a status, a Retry-After header, a compressed body and a foreign error mean."""

import errno
import gzip
import os
import socket
import ssl
import zlib
from contextlib import suppress
from datetime import UTC, datetime

import aiohttp
import brotli  # type: ignore[import-untyped]
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import Permanent, Transient
from pipelines.gateways.http_coding import decode, zstd
from pipelines.gateways.http_failures import (
    RETRY_AFTER_S_MAX,
    HttpPermanent,
    parse_retry_after,
    status_failure,
)
from pipelines.gateways.http_guard import Destination
from pipelines.gateways.http_translation import translate

NOW = datetime(2025, 2, 1, 12, 0, 0, tzinfo=UTC)
PERMANENT_STATUSES = (300, 304, *range(400, 408), 409, 410, 411, 412, 413, 414, 415, 416, 422, 451)
TRANSIENT_STATUSES = (408, 421, 425, 429, 500, 501, 502, 503, 504, 507, 520, 521, 524, 529, 599)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PACKERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "Deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("status", PERMANENT_STATUSES)
def test_a_status_that_will_be_the_same_next_time_is_permanent(status: int) -> None:
    failure = status_failure("https://x.example/", status, retry_after_s=None)

    assert isinstance(failure, Permanent)
    assert failure.failure_class == "status"
    assert f"(HTTP {status})" in str(failure)


@pytest.mark.parametrize("status", TRANSIENT_STATUSES)
def test_a_status_of_the_moment_is_transient_and_keeps_the_wait(status: int) -> None:
    failure = status_failure("https://x.example/", status, retry_after_s=7.0)

    assert isinstance(failure, Transient)
    assert (failure.failure_class, failure.status, failure.retry_after_s) == ("status", status, 7)


def test_a_missing_page_is_named_in_plain_words() -> None:
    failure = status_failure("https://x.example/a", 404, retry_after_s=None)

    assert str(failure) == "https://x.example/a could not be read: it was not found (HTTP 404)"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 1.5 ", 1.5),
        ("99999999", RETRY_AFTER_S_MAX),
        ("9" * 18, RETRY_AFTER_S_MAX),
        ("Sat, 01 Feb 2025 12:01:00 GMT", 60),
        ("Saturday, 01-Feb-25 12:01:00 GMT", 60),
        ("Sat Feb  1 12:01:00 2025", 60),
        ("Sat, 01 Feb 2025 11:00:00 GMT", 0),
        ("Sat, 01 Feb 2125 12:00:00 GMT", RETRY_AFTER_S_MAX),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_clamped(value: str, seconds: float) -> None:
    assert parse_retry_after(value, now=NOW) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", "-5", "1e99", "nan", "inf", "soon", "9" * 5000, "\0", "1,2", "٣"),
        *("Sat, 99 Feb 99999 12:01:00 GMT", "Sat, 01 Feb 2025 12:01:00 +99999999"),
    ],
)
def test_a_retry_after_that_is_neither_is_ignored(value: str | None) -> None:
    assert parse_retry_after(value, now=NOW) is None


@pytest.mark.parametrize("coding", PACKERS)
@pytest.mark.parametrize("body", [b"", b"x", b"abc" * 100_000, os.urandom(70_000)])
def test_a_compressed_body_comes_back_whole(coding: str, body: bytes) -> None:
    packed = PACKERS[coding](body)

    assert decode(packed, coding, bytes_max=len(body), subject="page") == body


@pytest.mark.parametrize("coding", PACKERS)
def test_a_body_that_inflates_beyond_the_limit_is_refused(coding: str) -> None:
    packed = PACKERS[coding](bytes(1_000_001))

    with pytest.raises(HttpPermanent, match=r"limit is 1,000,000 bytes") as caught:
        decode(packed, coding, bytes_max=1_000_000, subject="page")

    assert caught.value.failure_class == "size"


@pytest.mark.parametrize("coding", PACKERS)
@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_a_compressed_body_that_ends_too_early_is_refused(coding: str, keep: float) -> None:
    packed = PACKERS[coding](os.urandom(10_000))

    with pytest.raises(HttpPermanent, match="not the valid") as caught:
        decode(packed[: int(len(packed) * keep)], coding, bytes_max=20_000, subject="page")

    assert caught.value.failure_class == "protocol"


@pytest.mark.parametrize("coding", PACKERS)
@settings(max_examples=25)
@given(body=st.binary(min_size=1, max_size=200))
def test_any_bytes_either_decode_or_are_refused(coding: str, body: bytes) -> None:
    with suppress(HttpPermanent):
        decoded = decode(body, coding, bytes_max=1000, subject="page")

        assert len(decoded) <= 1000


def test_codings_are_undone_in_reverse_order() -> None:
    packed = gzip.compress(brotli.compress(b"hello"))

    assert decode(packed, "br, gzip", bytes_max=100, subject="page") == b"hello"


def test_gzip_members_that_follow_each_other_are_one_body() -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0 padding"

    assert decode(packed, "gzip", bytes_max=100, subject="page") == b"one two"


@pytest.mark.parametrize("codings", ["identity", "none", "UTF-8", "binary, gzip"])
def test_a_coding_that_codes_nothing_is_overlooked(codings: str) -> None:
    body = gzip.compress(b"hello") if "gzip" in codings else b"hello"

    assert decode(body, codings, bytes_max=100, subject="page") == b"hello"


@pytest.mark.parametrize("codings", ["compress", "gzip, gzip, gzip", "exi, gzip", "br;q=1"])
def test_a_coding_that_is_not_supported_is_named(codings: str) -> None:
    with pytest.raises(HttpPermanent, match="compressed"):
        decode(gzip.compress(b"x"), codings, bytes_max=100, subject="page")


def connector_error(error: OSError) -> aiohttp.ClientConnectorError:
    return aiohttp.ClientConnectorError(_key(), error)


def _key() -> ConnectionKey:
    return ConnectionKey("x.example", 443, True, True, None, None, None)


def certificate_error() -> aiohttp.ClientConnectorCertificateError:
    inner = ssl.SSLCertVerificationError("certificate has expired")
    inner.verify_message = "certificate has expired"
    return aiohttp.ClientConnectorCertificateError(_key(), inner)


def dns_error(number: int) -> aiohttp.ClientConnectorDNSError:
    return aiohttp.ClientConnectorDNSError(_key(), socket.gaierror(number, "no"))


def tls_error(kind: type[ssl.SSLError]) -> aiohttp.ClientConnectorSSLError:
    return aiohttp.ClientConnectorSSLError(_key(), kind(1, "handshake"))


def malformed(message: str) -> aiohttp.ClientResponseError:
    return aiohttp.ClientResponseError(None, (), status=400, message=message)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "failure_class", "branch", "words"),
    [
        (dns_error(socket.EAI_NONAME), "dns", Permanent, "does not exist"),
        (dns_error(socket.EAI_AGAIN), "dns", Transient, "could not be looked up"),
        (dns_error(socket.EAI_FAIL), "dns", Transient, "could not be looked up"),
        (connector_error(OSError(errno.ECONNREFUSED, "x")), "connect", Transient, "refused"),
        (connector_error(OSError(errno.EHOSTUNREACH, "x")), "connect", Transient, "unreachable"),
        (connector_error(OSError(errno.EMFILE, "x")), "connect", Transient, "failed"),
        (certificate_error(), "tls", Permanent, "certificate has expired"),
        (tls_error(ssl.SSLError), "tls", Permanent, "no secure connection"),
        (tls_error(ssl.SSLEOFError), "tls", Transient, "no secure connection"),
        (malformed("Got more than 8190 bytes"), "size", Permanent, "headers beyond the limit"),
        (malformed("Expected HTTP/"), "protocol", Permanent, "valid HTTP"),
        (aiohttp.ServerDisconnectedError(), "protocol", Transient, "broke off"),
        (aiohttp.ClientPayloadError("cut"), "protocol", Transient, "broke off"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "x"), "protocol", Transient, "broke off"),
        (aiohttp.InvalidURL("x"), "blocked", Permanent, "cannot be read"),
    ],
)
def test_each_foreign_error_has_one_class_and_one_branch(
    error: aiohttp.ClientError, failure_class: str, branch: type, words: str
) -> None:
    failure = translate(error, Destination("x.example", 443))

    assert isinstance(failure, branch)
    assert failure.failure_class == failure_class
    assert words in str(failure)
    assert "x.example" in str(failure)


def test_a_refused_address_is_blocked_whatever_the_error_became() -> None:
    to = Destination("x.example", 80, via="https://a.example/", refused="a private network")

    failure = translate(connector_error(OSError("Multiple exceptions")), to)

    assert isinstance(failure, Permanent)
    assert failure.failure_class == "blocked"
    assert "a private network" in str(failure)
    assert str(failure).startswith("https://a.example/ redirects to x.example")
