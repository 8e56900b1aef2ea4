"""Plain text -> a document of exactly that text, its paragraphs as blocks."""

import re
from collections.abc import Iterator

from pipelines.errors import Permanent
from pipelines.knowledge.charset import decode_text
from pipelines.knowledge.document import Block, Document
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.raw import Raw

TEXT_CHARS_MAX = 50_000_000
# What follows so many paragraphs is one last block: blocks cost more memory than their text.
PARAGRAPHS_MAX = 200_000

# Lines that hold more than white space. Possessive throughout: the time is linear in the text.
_PARAGRAPH = re.compile(r"\S[^\n]*+(?:\n[^\S\n]*+\S[^\n]*+)*+")


def read(raw: Raw) -> Document:
    """Read text as it is; raises Permanent when it is longer than TEXT_CHARS_MAX."""
    text = decode_text(raw.body, raw.charset)
    if len(text) > TEXT_CHARS_MAX:
        raise Permanent(f"the text is too long: {len(text):,} characters, limit {TEXT_CHARS_MAX:,}")
    blocks = tuple(Block("paragraph", start, end) for start, end in find_paragraphs(text))
    return Document(text, blocks, language=choose_language(text, declared=None))


def find_paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """The spans between empty lines, without the white space around them."""
    for number, match in enumerate(_PARAGRAPH.finditer(text), start=1):
        if number == PARAGRAPHS_MAX:
            yield match.start(), len(text.rstrip())
            return
        yield match.start(), match.start() + len(match[0].rstrip())
