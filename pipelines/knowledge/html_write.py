"""Pieces of a page -> blocks of a document."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from pipelines.knowledge.blocks import DocumentWriter
from pipelines.knowledge.html_pieces import Piece

INDENT = "  "
# Items nested deeper are indented like these.
LEVEL_MAX = 8


def write_pieces(writer: DocumentWriter, pieces: Iterable[Piece]) -> None:
    for _, group in groupby(enumerate(pieces), key=_group_of):
        _write_group(writer, [piece for _, piece in group])


def _group_of(numbered: tuple[int, Piece]) -> tuple[int, int]:
    """Items of one list belong together, every other piece stands alone."""
    number, piece = numbered
    return (piece.list_id, -1) if piece.kind == "item" else (0, number)


def _write_group(writer: DocumentWriter, group: list[Piece]) -> None:
    piece = group[0]
    if piece.kind == "item":
        writer.add("list", "\n".join(_write_items(group)))
    elif piece.kind == "heading":
        writer.add_heading(piece.text, level=piece.level)
    elif piece.kind == "leave":
        writer.leave_section(level=piece.level)
    else:
        writer.add(piece.kind, piece.text, header_chars=piece.header_chars)


def _write_items(items: list[Piece]) -> Iterator[str]:
    for item in items:
        indent = INDENT * (min(item.level, LEVEL_MAX) - 1)
        yield indent + (item.marker or INDENT) + item.text.replace("\n", f"\n{indent}{INDENT}")
