"""The part of a long passage that a reader of search results wants to see."""

import re

EXCERPT_CHARS = 700
WORD_CHARS_MIN = 4


def excerpt(passage: str, question: str, *, chars_max: int = EXCERPT_CHARS) -> str:
    """Neighbouring paragraphs around the one that has most words in common with the question."""
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n", passage) if part.strip()]
    if not paragraphs:
        return ""
    wanted = words(question)
    best = max(range(len(paragraphs)), key=lambda n: len(wanted & words(paragraphs[n])))
    first, last = widen(paragraphs, best, chars_max)
    text = "\n\n".join(paragraphs[first : last + 1])
    before = "... " if first > 0 else ""
    after = " ..." if last < len(paragraphs) - 1 or len(text) > chars_max else ""
    return before + cut(text, chars_max) + after


def widen(paragraphs: list[str], best: int, chars_max: int) -> tuple[int, int]:
    """First and last paragraph to show: what follows before what precedes."""
    first = last = best
    room = chars_max - len(paragraphs[best])
    while last + 1 < len(paragraphs) and len(paragraphs[last + 1]) <= room:
        last += 1
        room -= len(paragraphs[last])
    while first > 0 and len(paragraphs[first - 1]) <= room:
        first -= 1
        room -= len(paragraphs[first])
    return first, last


def words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) >= WORD_CHARS_MIN}


def cut(text: str, chars_max: int) -> str:
    """Whole words only, where the text has any."""
    if len(text) <= chars_max:
        return text
    head = text[:chars_max]
    return head.rsplit(maxsplit=1)[0] if " " in head else head
