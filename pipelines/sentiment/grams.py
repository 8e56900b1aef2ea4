"""Words, pairs of words and pieces of words as numbers below GRAMS: what the linear model sees."""

import re
from itertools import pairwise
from zlib import crc32

GRAM_BITS = 18
GRAMS = 1 << GRAM_BITS
PIECE_LENGTHS = (3, 4, 5)
WORD_CHARS_MAX = 24
NEGATED_WORDS = 4

_TOKEN = re.compile(r"[\w']+|[^\w\s]")
_STOP = frozenset(".!?;,")
NEGATION = re.compile(
    r"not|no|never|cannot|cant|dont|doesnt|didnt|isnt|wasnt|wont|without|hardly|nothing|nobody"
    r"|none|neither|nor|.*n't|nicht|kein|keine|keinen|nie|niemand|nunca|nadie|sin|pas|jamais|rien"
    r"|personne|non|mai|niente|nessuno|não|nem|ninguém|niet|geen|nie|inte|ikke|nu|ne|nem|ei|не"
)


def words(normalised: str) -> list[str]:
    return _TOKEN.findall(normalised)


def hash_grams(normalised: str) -> list[int]:
    """The grams of a text, each once, in no order that matters."""
    found = {crc32(gram.encode()) & (GRAMS - 1) for gram in _list_grams(words(normalised))}
    return sorted(found)


def _list_grams(tokens: list[str]) -> list[str]:
    bounded = ["<s>", *tokens, "</s>"]
    grams = [f"w={token[:WORD_CHARS_MAX]}" for token in tokens]
    grams += [f"b={one[:WORD_CHARS_MAX]} {two[:WORD_CHARS_MAX]}" for one, two in pairwise(bounded)]
    grams += [f"n={token[:WORD_CHARS_MAX]}" for token in _negated(tokens)]
    for token in set(tokens):
        if token[0].isalnum():
            grams += _cut_pieces(token)
    return grams


def _negated(tokens: list[str]) -> list[str]:
    """The words that stand within NEGATED_WORDS after a negation, in the same clause."""
    left, found = 0, []
    for token in tokens:
        if token in _STOP:
            left = 0
        elif left:
            found.append(token)
            left -= 1
        if NEGATION.fullmatch(token):
            left = NEGATED_WORDS
    return found


def _cut_pieces(token: str) -> list[str]:
    word = f"<{token[:WORD_CHARS_MAX]}>"
    return [
        f"c={word[start : start + length]}"
        for length in PIECE_LENGTHS
        for start in range(len(word) - length + 1)
    ]
