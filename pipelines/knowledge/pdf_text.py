"""The texts of a PDF's lines: joining them, and what their first and last signs say."""

import re
from collections.abc import Collection, Sequence

WORD_CHARS_MAX = 60

_MARKER = re.compile(r"[•◦▪‣●○■□–*·-]|\(?\d{1,3}[.)]|[a-zA-Z][.)]")
_ITEM = re.compile(r"(?:[•◦▪‣●○■□–*·-]|\(?(?P<number>\d{1,3})[.)])(?:\s+|$)")
_LEADER = re.compile(r"(?:\s?\.){5,}|…{2,}")
_HYPHENATED = re.compile(r"(\w*[^\W\d_])-$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
_ENDS_SENTENCE = tuple('.!?:;。！？…"”»)')
_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")


def join_lines(texts: Sequence[str], compounds: Collection[str] = ()) -> str:
    """Join lines into one; a word that a line's end cut is made whole again.

    `compounds` are the words that are written with their hyphen elsewhere.
    """
    parts: list[str] = []
    for text in texts:
        if parts:
            parts[-1:] = _join(parts[-1], text, compounds)
        else:
            parts.append(text)
    return "".join(parts)


def _join(before: str, after: str, compounds: Collection[str]) -> tuple[str, str]:
    """Two lines as they stand side by side."""
    cut = _HYPHENATED.search(before[-WORD_CHARS_MAX:]) if before.endswith("-") else None
    first = _FIRST_WORD.match(after)
    if cut and first and first[0][0].islower():
        is_compound = f"{cut[1]}-{first[0]}".lower() in compounds
        return (before if is_compound else before[:-1]), after
    if cut or (_CJK.match(before[-1:]) and _CJK.match(after)):
        return before, after
    return f"{before} ", after


def find_compounds(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[^\W\d_]+-[^\W\d_]+", text)}


def is_marker(text: str) -> bool:
    return _MARKER.fullmatch(text) is not None


def match_item(text: str) -> tuple[str, str] | None:
    """The marker and the text of a list item; None for any other line."""
    match = _ITEM.match(text)
    if match is None:
        return None
    marker = f"{match['number']}. " if match["number"] else "- "
    return marker, text[match.end() :]


def has_leader(text: str) -> bool:
    """Tell a line with dots that lead the eye, as in a table of contents."""
    return _LEADER.search(text) is not None


def shorten_leaders(text: str) -> str:
    return _LEADER.sub(" …", text) if "." in text or "…" in text else text


def ends_sentence(text: str) -> bool:
    return text.endswith(_ENDS_SENTENCE)


def goes_on(text: str) -> bool:
    """Tell whether a line can only be the middle of a sentence."""
    return text[:1].islower() or _CJK.match(text) is not None
