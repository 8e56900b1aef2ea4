"""Documents to split, drawn by Hypothesis or built from a seed."""

import re
from random import Random

from hypothesis import strategies as st

from pipelines.knowledge.document import Block, BlockKind, Document

# What has broken splitters and tokenizers: contractions, digits, marks, joiners, odd white space.
PIECES = (
    *("a", "Word", "word. ", "Dr. ", "e.g. ", "J. ", "'s", "'ll", "'", "12345", "4567.", "//", "/"),
    *(
        "。",
        "，",
        "！」",
        "汉字",
        "漢字かな",
        "ภาษาไทย",
        "ก็",
        "e\u0301",
        "सत्य।",
        "؟",
        "é",
        "ǅ",
        "İ",
    ),
    *("👩‍👩‍👧", "🇩🇪", "\U00020000", "\U0001e900", "\u200b", "\x1c", "};", "|", ":", "- ", "=" * 40),
    *(" ", "  ", "\n", "\n\n", "\r\n", "\r", "\t", "\xa0", "\u3000", "\x85", "\n" * 9, " " * 70),
    *("<|endoftext|>", "http://a.b/c?d=e", "x" * 60, "7" * 50, "};\n// ", "!?\u201d ", "\n    "),
)
KINDS: tuple[BlockKind, ...] = ("paragraph", "heading", "list", "table", "code", "caption")
WORDS = (
    "the agent reads a page and stores every passage with its source so that visitors of our site "
    "find answers quickly while pricing plans refunds deliveries returns accounts invoices teams "
    "roles limits keys webhooks messages leads reports exports imports filters charts settings"
).split()

texts = st.lists(
    st.one_of(st.sampled_from(PIECES), st.sampled_from(PIECES), st.characters(codec="utf-8")),
    max_size=120,
).map(lambda pieces: "".join(pieces).replace("\0", ""))


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Blocks of any kind, cut at newlines; some text lies outside of all of them."""
    text = draw(texts)
    spans = [match.span() for match in re.finditer(r"[^\n]*\S[^\n]*", text)]
    kinds = draw(
        st.lists(st.sampled_from((*KINDS, None)), min_size=len(spans), max_size=len(spans))
    )
    return Document(
        text,
        tuple(
            Block(kind, start, end, ("Heading",) if kind else ())
            for kind, (start, end) in zip(kinds, spans, strict=True)
            if kind
        ),
    )


def assemble(*parts: tuple[BlockKind, str]) -> Document:
    """Join blocks with blank lines, each below the headings before it."""
    blocks: list[Block] = []
    start = 0
    path: tuple[str, ...] = ()
    for kind, text in parts:
        if kind == "heading":
            path = (text.lstrip("# "),)
        blocks.append(Block(kind, start, start + len(text), path, 1 if kind == "heading" else 0))
        start += len(text) + 2
    return Document("\n\n".join(text for _, text in parts), tuple(blocks))


def sentence(random: Random) -> str:
    words = random.choices(WORDS, k=random.randint(5, 24))
    return " ".join(words).capitalize() + random.choice("...?!")


def paragraph(random: Random) -> str:
    return " ".join(sentence(random) for _ in range(random.randint(2, 6)))


def code(random: Random, *, lines: int) -> str:
    return "\n".join(
        f"{'    ' * random.randint(0, 2)}{random.choice(WORDS)}({random.randint(0, 99)})"
        for _ in range(lines)
    )
