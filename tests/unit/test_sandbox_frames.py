import io
import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import pytest

from pipelines.knowledge.document import Block, Document
from pipelines.knowledge.sandbox_frames import (
    Frame,
    FrameError,
    _pack_fact,
    _unpack_fact,
    pack_document,
    read_frame,
    unpack_document,
    write_frame,
)

DOCUMENT = Document(
    "Títle\n\n| a |\n| - |\n| b |",
    (
        Block("heading", 0, 5, ("Títle",), level=1),
        Block("table", 7, 24, ("Títle",), header_end=18),
    ),
    title="Títle",
    language="es",
    mime="text/html",
)


def test_a_document_survives_the_way_through_the_pipe() -> None:
    pipe = io.BytesIO()

    write_frame(pipe, pack_document(DOCUMENT))
    pipe.seek(0)

    assert unpack_document(read_frame(pipe)) == DOCUMENT


@dataclass(frozen=True)
class Link:
    url: str
    label: str | None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (datetime(2025, 2, 3, 4, 5, tzinfo=UTC), datetime | None),
        (None, datetime | None),
        (date(2025, 2, 3), date),
        (True, bool),
        (("a", "b"), tuple[str, ...]),
        ((("a", 1), ("b", 2)), tuple[tuple[str, int], ...]),
        ((Link("/a", None), Link("/b", "B")), tuple[Link, ...]),
    ],
)
def test_a_fact_of_any_type_survives_the_way(value: object, kind: object) -> None:
    assert _unpack_fact(json.loads(json.dumps(_pack_fact(value))), kind) == value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("yes", bool),
        (1, bool),
        (3, str | None),
        ("x\0", str),
        ("\ud800", str),
        (["a", 3], tuple[str, ...]),
        ([["/a"]], tuple[Link, ...]),
        ("tomorrow", datetime),
    ],
)
def test_a_fact_that_is_not_of_its_type_is_refused(value: object, kind: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        _unpack_fact(value, kind)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\0\0\0\x02",
        b"\0\0\0\x02\0\0\0\0{",
        b"\0\0\0\x02\0\0\0\x05{}abc",
        b"\0\0\0\x02\0\0\0\0[]",
        b"\0\0\0\x02\0\0\0\0}{",
        b"\xff\xff\xff\xff\0\0\0\0",
        b"\0\0\0\x02\xff\xff\xff\xff{}",
    ],
)
def test_a_frame_that_is_cut_wrong_or_too_long_is_refused(sent: bytes) -> None:
    with pytest.raises(FrameError):
        read_frame(io.BytesIO(sent))


@pytest.mark.parametrize(
    "block",
    [
        [0, 0, 99, 0, 0, 0],
        [0, -1, 5, 0, 0, 0],
        [0, 3, 3, 0, 0, 0],
        [0, 0, "5", 0, 0, 0],
        [0, 0, True, 0, 0, 0],
        [9, 0, 5, 0, 0, 0],
        [0, 0, 5, 7, 0, 0],
        [0, 0, 5, 0, 7, 0],
        [3, 0, 5, 0, 0, 9],
        [0, 0, 5],
        None,
    ],
)
def test_a_block_that_cannot_be_is_refused(block: object) -> None:
    frame = pack_document(DOCUMENT)

    with pytest.raises(FrameError):
        unpack_document(Frame({**frame.header, "blocks": [block]}, frame.body))


@pytest.mark.parametrize(
    "frame",
    [
        Frame({}, b"text"),
        replace(pack_document(DOCUMENT), body=b"\xff\xfe"),
        replace(pack_document(DOCUMENT), body=DOCUMENT.text.encode() + b"\0"),
        Frame({**pack_document(DOCUMENT).header, "title": ["x"]}, DOCUMENT.text.encode()),
        Frame({**pack_document(DOCUMENT).header, "paths": 3}, DOCUMENT.text.encode()),
    ],
)
def test_an_answer_that_is_no_document_is_refused(frame: Frame) -> None:
    with pytest.raises(FrameError):
        unpack_document(frame)


def test_blocks_that_overlap_are_refused() -> None:
    overlapping = (Block("paragraph", 0, 5), Block("paragraph", 4, 7))

    with pytest.raises(FrameError):
        unpack_document(pack_document(replace(DOCUMENT, blocks=overlapping)))
