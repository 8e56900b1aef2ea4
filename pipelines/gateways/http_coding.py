"""Content codings (gzip, deflate, br, zstd) undone with a limit on what comes out."""

import sys
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]

from pipelines.gateways.http_failures import HttpPermanent

if sys.version_info >= (3, 14):
    from compression import zstd as zstd
else:
    from backports import zstd as zstd

ACCEPT_ENCODING = "gzip, deflate, br, zstd"
CODINGS_MAX = 2
# What servers write that mean a charset, or nothing; browsers overlook it, too.
UNCODED = frozenset({"identity", "none", "utf-8", "utf8", "binary", "8bit", "7bit"})
# RFC 9659: what a web client must be ready to keep in memory for one answer.
ZSTD_WINDOW_LOG_MAX = 23


class _TooLargeError(Exception):
    pass


def decode(body: bytes, codings: str, *, bytes_max: int, subject: str) -> bytes:
    """Undo `codings` (a Content-Encoding header), last applied first.

    Raises HttpPermanent where one is unknown, broken, or holds more than `bytes_max`.
    """
    names = [name.strip().lower() for name in codings.split(",") if name.strip()]
    if len(names) > CODINGS_MAX:
        raise _broken(f"{subject} is compressed {len(names)} times, limit {CODINGS_MAX}")
    for name in reversed(names):
        body = _decode_one(body, name, bytes_max=bytes_max, subject=subject)
    return body


def _decode_one(body: bytes, name: str, *, bytes_max: int, subject: str) -> bytes:
    if name in UNCODED or not body:
        return body
    if (inflate := _DECODERS.get(name)) is None:
        raise _broken(f"{subject} is compressed in a way that is not supported: {name[:40]}")
    try:
        return inflate(body, bytes_max)
    except _TooLargeError as error:
        raise HttpPermanent(
            f"{subject} is too large: the limit is {bytes_max:,} bytes, and decompressed it is"
            " longer than that",
            failure_class="size",
        ) from error
    except (zlib.error, brotli.error, zstd.ZstdError, EOFError) as error:
        raise _broken(f"{subject} is not the valid {name} data it claims to be") from error


def _broken(message: str) -> HttpPermanent:
    return HttpPermanent(message, failure_class="protocol")


def _gunzip(body: bytes, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    left = bytes_max
    # Several members may follow each other; whatever else follows is ignored, as browsers do.
    while body[:2] == b"\x1f\x8b":
        part, body = _inflate_member(body, zlib.MAX_WBITS | 16, left)
        parts.append(part)
        left -= len(part)
    if not parts:
        raise EOFError("no gzip header")
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _inflate(body: bytes, bytes_max: int) -> bytes:
    # Servers disagree whether "deflate" has zlib's header.
    has_header = body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return _inflate_member(body, zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS, bytes_max)[0]


def _inflate_member(body: bytes, window: int, bytes_max: int) -> tuple[bytes, bytes]:
    decoder = zlib.decompressobj(window)
    out = decoder.decompress(body, bytes_max + 1)
    if len(out) > bytes_max:
        raise _TooLargeError
    if not decoder.eof:
        raise EOFError("ends too early")
    return out, decoder.unused_data


def _unbrotli(body: bytes, bytes_max: int) -> bytes:
    decoder = brotli.Decompressor()
    out = decoder.process(body, output_buffer_limit=bytes_max + 1)
    parts = [out]
    size = len(out)
    while size <= bytes_max and not decoder.is_finished():
        if not (out := decoder.process(b"", output_buffer_limit=bytes_max + 1 - size)):
            raise EOFError("ends too early")
        parts.append(out)
        size += len(out)
    if size > bytes_max:
        raise _TooLargeError
    return b"".join(parts)


def _unzstd(body: bytes, bytes_max: int) -> bytes:
    parts: list[bytes] = []
    left = bytes_max
    while body:
        decoder = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG_MAX}
        )
        part = decoder.decompress(body, max_length=left + 1)
        if len(part) > left:
            raise _TooLargeError
        if not decoder.eof:
            raise EOFError("ends too early")
        parts.append(part)
        left -= len(part)
        body = decoder.unused_data
    return b"".join(parts)


_DECODERS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
