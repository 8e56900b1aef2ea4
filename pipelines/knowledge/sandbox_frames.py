"""What worker and reading child say to each other: JSON and raw bytes, never objects.

A frame is the length of its JSON part, the length of its bytes, and the two parts.
"""

import json
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO, get_args

from pipelines.knowledge.document import Block, BlockKind, Document

# The status of a child that ended itself because it was out of memory.
OUT_OF_MEMORY_STATUS = 77
HEADER_BYTES_MAX = 64_000_000
BODY_BYTES_MAX = 160_000_000

_LENGTHS = struct.Struct(">II")
_KINDS = get_args(BlockKind)


class FrameError(Exception):
    """The other side ended, or said what it must not say."""


@dataclass(frozen=True, slots=True)
class Frame:
    header: dict[str, Any]
    body: bytes


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    header = json.dumps(frame.header, separators=(",", ":")).encode()
    stream.write(_LENGTHS.pack(len(header), len(frame.body)))
    stream.write(header)
    stream.write(frame.body)
    stream.flush()


def read_frame(stream: BinaryIO) -> Frame:
    """Read one frame; raises FrameError at the end of the stream or for nonsense."""
    header_bytes, body_bytes = _LENGTHS.unpack(_read_exactly(stream, _LENGTHS.size))
    if header_bytes > HEADER_BYTES_MAX or body_bytes > BODY_BYTES_MAX:
        raise FrameError(f"frame of {header_bytes} + {body_bytes} bytes")
    try:
        header = json.loads(_read_exactly(stream, header_bytes))
    except ValueError as error:
        raise FrameError("frame without JSON") from error
    if not isinstance(header, dict):
        raise FrameError("frame without an object")
    return Frame(header, _read_exactly(stream, body_bytes))


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if data is None or len(data) < count:
        raise FrameError("stream ended")
    return data


def pack_document(document: Document) -> Frame:
    """Blocks share few heading paths, so each path is written once."""
    paths: dict[tuple[str, ...], int] = {}
    blocks = [
        [
            _KINDS.index(block.kind),
            block.start,
            block.end,
            paths.setdefault(block.heading_path, len(paths)),
            block.level,
            block.header_end,
        ]
        for block in document.blocks
    ]
    header = {
        "title": document.title,
        "language": document.language,
        "mime": document.mime,
        "paths": list(paths),
        "blocks": blocks,
    }
    return Frame(header, document.text.encode())


def unpack_document(frame: Frame) -> Document:
    """Rebuild a document; raises FrameError where a child's answer is not one."""
    try:
        text = frame.body.decode()
        paths = [tuple(map(str, path)) for path in frame.header["paths"]]
        blocks = tuple(
            Block(_KINDS[kind], start, end, paths[path], level, header_end)
            for kind, start, end, path, level, header_end in frame.header["blocks"]
        )
        names = [frame.header[name] for name in ("title", "language", "mime")]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise FrameError("answer is no document") from error
    are_names = all(name is None or isinstance(name, str) for name in names)
    if not are_names or not _is_sound(text, blocks):
        raise FrameError("answer is no sound document")
    title, language, mime = names
    return Document(text, blocks, title, language, mime or "text/plain")


def _is_sound(text: str, blocks: tuple[Block, ...]) -> bool:
    end = 0
    for block in blocks:
        numbers = (block.start, block.end, block.level, block.header_end)
        if not all(type(number) is int for number in numbers):
            return False
        if not end <= block.start < block.end <= len(text) or not 0 <= block.level <= 6:
            return False
        if block.header_end and not block.start <= block.header_end <= block.end:
            return False
        end = block.end
    return "\0" not in text
