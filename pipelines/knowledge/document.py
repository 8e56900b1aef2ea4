"""A document as the pipeline sees it: one text and the blocks that are spans of it."""

from dataclasses import dataclass
from typing import Literal

BlockKind = Literal["heading", "paragraph", "list", "table", "code", "caption"]


@dataclass(frozen=True, slots=True)
class Block:
    """A span `text[start:end]` of its document.

    Blocks are in order and do not overlap; only white space lies between them. `heading_path`
    holds the titles of the sections around the block, outermost first; a heading's own title is
    the last of its path. `level` is 1-6 for a heading, else 0. `header_end` is where a table's
    header row(s) end in the document's text (`start` when it has none).
    """

    kind: BlockKind
    start: int
    end: int
    heading_path: tuple[str, ...] = ()
    level: int = 0
    header_end: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """`text` holds no NUL and no lone surrogate; tables are Markdown pipe rows, code is verbatim.

    `mime` is what the bytes were read as, `title` None where the input names none. The rest a
    page says of itself: `published_at` an ISO 8601 date or time as written there, `robots` what
    it asks of a crawler ("noindex", "nofollow"), `links` where it leads (absolute, no fragments).
    """

    text: str
    blocks: tuple[Block, ...]
    title: str | None = None
    language: str | None = None
    mime: str = "text/plain"
    published_at: str | None = None
    canonical: str | None = None
    robots: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """`text == document.text[start:end]`; `tokens` is exact for the encoding it was split with."""

    index: int
    text: str
    start: int
    end: int
    tokens: int
    heading_path: tuple[str, ...] = ()
    kinds: tuple[BlockKind, ...] = ()
