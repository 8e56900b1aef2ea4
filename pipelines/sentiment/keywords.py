"""The phrases a message turns on, by RAKE: runs of words between common ones and punctuation.

A word weighs its degree over its frequency, a phrase the sum of its words (Rose, Engel, Cramer
and Cowley, "Automatic keyword extraction from individual documents", 2010).
"""

import re
from collections import Counter
from functools import cache
from importlib.resources import files

from pipelines.sentiment.judgement import KEYWORDS_MAX, cut

PHRASE_WORDS_MAX = 3
WORD_CHARS_MIN = 3
WORD_CHARS_MAX = 40

_PIECE = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*|[^\w\s]|\n")
_ADDRESS = re.compile(r"https?:\S+|www\.\S+|\S+@\S+")


def find_keywords(text: str) -> tuple[str, ...]:
    """At most KEYWORDS_MAX phrases in lower case, the weightiest first."""
    phrases = _list_phrases(_ADDRESS.sub(" . ", cut(text)).lower())
    frequencies = Counter(word for phrase in phrases for word in phrase)
    degrees = Counter[str]()
    for phrase in phrases:
        for word in phrase:
            degrees[word] += len(phrase)
    weights = {
        " ".join(phrase): sum(degrees[word] / frequencies[word] for word in phrase)
        for phrase in phrases
    }
    return tuple(sorted(weights, key=lambda phrase: -weights[phrase])[:KEYWORDS_MAX])


def _list_phrases(text: str) -> list[tuple[str, ...]]:
    """Longer runs are cut: nobody reads a keyword of many words."""
    phrases: list[tuple[str, ...]] = []
    run: list[str] = []
    for piece in [*_PIECE.findall(text), "."]:
        if _is_telling(piece):
            run.append(piece)
        if run and (len(run) == PHRASE_WORDS_MAX or not _is_telling(piece)):
            phrases.append(tuple(run))
            run = []
    return phrases


def _is_telling(piece: str) -> bool:
    is_long_enough = WORD_CHARS_MIN <= len(piece) <= WORD_CHARS_MAX or not piece.isascii()
    return (
        is_long_enough
        and len(piece) <= WORD_CHARS_MAX
        and piece.replace("’", "'") not in load_common_words()
        and any(char.isalpha() for char in piece)
    )


@cache
def load_common_words() -> frozenset[str]:
    lines = files(__package__).joinpath("common_words.txt").read_text("utf-8").splitlines()
    return frozenset(word for line in lines if line[:1] != "#" for word in line.split())
