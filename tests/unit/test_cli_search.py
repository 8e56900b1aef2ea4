"""How a passage is shown: what matched is marked, and one line says why it came."""

from uuid import UUID

import pytest

from db.search import Passage
from workers.cli.search import mark, why

NOBODY = UUID(int=0)


def passage(vector_rank: int | None, lexical_rank: int | None) -> Passage:
    return Passage(
        chunk_id=NOBODY,
        source_id=NOBODY,
        source_name="FAQ",
        url=None,
        content="Refunds",
        metadata={},
        score=0.03,
        vector_rank=vector_rank,
        similarity=0.5,
        lexical_rank=lexical_rank,
        lexical_score=None if lexical_rank is None else 4.25,
        matched_words=[] if lexical_rank is None else ["refund", "days"],
    )


@pytest.mark.parametrize(
    ("ranks", "line"),
    [
        ((1, 2), "meaning #1, similarity 0.500; words #2, score 4.25: refund, days"),
        (
            (None, 2),
            "meaning not among the nearest, similarity 0.500; words #2, score 4.25: refund,",
        ),
        ((3, None), "meaning #3, similarity 0.500"),
    ],
)
def test_one_line_says_why(ranks: tuple[int | None, int | None], line: str) -> None:
    assert why(passage(*ranks)).startswith(line)


@pytest.mark.parametrize(
    ("text", "words", "marked"),
    [
        ("Refunds take 30 days", ["refunded", "days"], ["Refunds", "days"]),
        ("A prefund is none", ["refund"], []),
        ("我们的退货政策", ["退货", "货"], ["退货"]),
        ("a.b* (c)", ["a", "c"], ["a", "c"]),
        ("anything", [], []),
    ],
)
def test_what_matched_is_marked(text: str, words: list[str], marked: list[str]) -> None:
    shown = mark(text, words)

    assert [shown.plain[span.start : span.end] for span in shown.spans] == marked
