"""What worker and reading child say to each other: JSON and raw bytes, never objects.

A frame is the length of its JSON part, the length of its bytes, and the two parts.
"""

import json
import struct
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Any, BinaryIO, Union, get_args, get_origin, get_type_hints

from pipelines.knowledge.document import Block, BlockKind, Document

# The status of a child that ended itself because it was out of memory.
OUT_OF_MEMORY_STATUS = 77
HEADER_BYTES_MAX = 64_000_000
BODY_BYTES_MAX = 160_000_000

_LENGTHS = struct.Struct(">II")
_KINDS = get_args(BlockKind)
# Whatever a document says besides its text and blocks travels by its declared type.
_FACTS = {
    name: kind for name, kind in get_type_hints(Document).items() if name not in ("text", "blocks")
}


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
    facts = {name: _pack_fact(getattr(document, name)) for name in _FACTS}
    header = {**facts, "paths": list(paths), "blocks": blocks}
    return Frame(header, document.text.encode())


def _pack_fact(value: Any) -> Any:
    """Write a field as JSON can: a time by its ISO form, a dataclass by its fields in order."""
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value):
        return [_pack_fact(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, tuple):
        return [_pack_fact(item) for item in value]
    return value


def unpack_document(frame: Frame) -> Document:
    """Rebuild a document; raises FrameError where a child's answer is not one."""
    try:
        text = frame.body.decode()
        paths = [tuple(map(str, path)) for path in frame.header["paths"]]
        blocks = tuple(
            Block(_KINDS[kind], start, end, paths[path], level, header_end)
            for kind, start, end, path, level, header_end in frame.header["blocks"]
        )
        facts = {name: _unpack_fact(frame.header[name], kind) for name, kind in _FACTS.items()}
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise FrameError("answer is no document") from error
    if not _is_sound(text, blocks):
        raise FrameError("answer is no sound document")
    return Document(text, blocks, **facts)


def _unpack_fact(value: Any, kind: Any) -> Any:
    """Read what _pack_fact wrote of a field of this type; raises ValueError for anything else."""
    kinds = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        if value is None and NoneType in kinds:
            return None
        (kind,) = (one for one in kinds if one is not NoneType)
        return _unpack_fact(value, kind)
    if get_origin(kind) is tuple and isinstance(value, list):
        each = kinds[:1] * len(value) if kinds[1:] == (...,) else kinds
        return tuple(_unpack_fact(item, one) for item, one in zip(value, each, strict=True))
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, list):
        hints = [get_type_hints(kind)[field.name] for field in fields(kind)]
        return kind(*(_unpack_fact(item, one) for item, one in zip(value, hints, strict=True)))
    if kind in (date, datetime) and isinstance(value, str):
        return kind.fromisoformat(value)
    if type(value) is not kind or (kind is str and not _is_text(value)):
        raise ValueError(f"{value!r:.40} is no {kind}")
    return value


def _is_text(value: str) -> bool:
    value.encode()
    return "\0" not in value


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
