"""A model's answer as judgements: what is not exactly as asked is no answer at all."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.sentiment.judgement import (
    EMOTIONS,
    KEYWORDS_MAX,
    LABELS,
    TOPICS_MAX,
    Judgement,
    Label,
)
from pipelines.sentiment.topics import TOPICS

# A label and a score that say different things: the model was confused, or made to be.
POLE_SCORE_MIN = 0.05
NEUTRAL_SCORE_MAX = 0.35
PHRASE_CHARS_MAX = 40
LISTED_MAX = 100
# So many first letters in common make a word of a topic one of the text: delay, delayed.
STEM_CHARS = 5
DIGITS = 3

_FENCED = re.compile(r"\s*```[a-z]*\s*\n(.*?)\n?\s*```\s*", re.I | re.S)
_WORD = re.compile(r"[^\W_]+")


def read_answers(answer: str, texts: Mapping[str, str]) -> dict[str, Judgement]:
    """The judgements of `texts`, both by id. What is missing, wrong or doubled is not there;
    what nobody asked for neither.
    """
    items = [item for item in _list_items(answer) if isinstance(item, dict)]
    counts = Counter(item["id"] for item in items if isinstance(item.get("id"), str))
    judged = {
        item["id"]: _read(item, texts[item["id"]])
        for item in items
        if isinstance(item.get("id"), str) and item["id"] in texts and counts[item["id"]] == 1
    }
    return {each: judgement for each, judgement in judged.items() if judgement is not None}


def _list_items(answer: str) -> list[Any]:
    fenced = _FENCED.fullmatch(answer)
    try:
        document = json.loads(fenced[1] if fenced else answer)
    except (ValueError, RecursionError):
        return []
    items = document.get("judgements") if isinstance(document, dict) else document
    return items if isinstance(items, list) else []


def _read(item: Mapping[str, Any], text: str) -> Judgement | None:
    score, confidence = _number(item.get("score"), -1), _number(item.get("confidence"), 0)
    emotions, label = _read_emotions(item.get("emotions")), _read_label(item.get("label"))
    topics, keywords = _read_strings(item.get("topics")), _read_strings(item.get("keywords"))
    if score is None or confidence is None or emotions is None:
        return None
    if label is None or not agrees(label, score) or topics is None or keywords is None:
        return None
    return Judgement(
        score=score,
        label=label,
        confidence=confidence,
        emotions=emotions,
        topics=_keep_topics(topics, text),
        keywords=_keep_keywords(keywords, text),
    )


def _read_label(value: object) -> Label | None:
    return next((label for label in LABELS if label == value), None)


def _number(value: object, least: float) -> float | None:
    """None for what is not a number from `least` to 1: a boolean is not, nor NaN, nor "0.5"."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(float(value), DIGITS) if least <= value <= 1 else None


def _read_emotions(value: object) -> dict[str, float] | None:
    if not isinstance(value, dict) or value.keys() != set(EMOTIONS):
        return None
    shares = {name: _number(value[name], 0) for name in EMOTIONS}
    emotions = {name: share for name, share in shares.items() if share is not None}
    return emotions if len(emotions) == len(EMOTIONS) else None


def agrees(label: Label, score: float) -> bool:
    match label:
        case "positive":
            return score >= POLE_SCORE_MIN
        case "negative":
            return score <= -POLE_SCORE_MIN
        case _:
            return abs(score) <= NEUTRAL_SCORE_MAX


def _read_strings(value: object) -> list[str] | None:
    if not isinstance(value, list) or len(value) > LISTED_MAX:
        return None
    strings = [each for each in value if isinstance(each, str)]
    return strings if len(strings) == len(value) else None


def _keep_topics(topics: Iterable[str], text: str) -> tuple[str, ...]:
    """Those of our list, and others made of the text's own words: nobody names another's."""
    stems = {word[:STEM_CHARS] for word in _WORD.findall(text.lower())}
    listed = {word[:STEM_CHARS] for topic in TOPICS for word in topic.split()}
    return _keep(
        (
            topic
            for topic in _clean(topics)
            if all(word[:STEM_CHARS] in stems | listed for word in _WORD.findall(topic))
        ),
        TOPICS_MAX,
    )


def _keep_keywords(keywords: Iterable[str], text: str) -> tuple[str, ...]:
    plain = _fold(text)
    words = set(_WORD.findall(plain))
    return _keep(
        (
            phrase
            for phrase in _clean(keywords)
            if phrase in plain or words.issuperset(_WORD.findall(phrase))
        ),
        KEYWORDS_MAX,
    )


def _keep(phrases: Iterable[str], count_max: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(phrases))[:count_max]


def _clean(phrases: Iterable[str]) -> Iterable[str]:
    """Those of letters, digits and single spaces, hyphens and apostrophes: never markup."""
    for phrase in phrases:
        plain = _fold(phrase)
        if 0 < len(plain) <= PHRASE_CHARS_MAX and all(map(_is_plain, plain)):
            yield plain


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def _is_plain(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN" or char in " -'’"
