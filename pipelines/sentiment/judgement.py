"""What a judge says of one message: the same type from the local judge and from a model by API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Label = Literal["negative", "neutral", "positive"]
LABELS: tuple[Label, ...] = ("negative", "neutral", "positive")
EMOTIONS = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
# Of a message's middle nobody reads more: its beginning and its end say what it wants.
TEXT_CHARS_MAX = 4_000
HEAD_CHARS = 3_000
TOPICS_MAX = 3
KEYWORDS_MAX = 8
# What a judge that does not know the language, or sees no words at all, may claim at most.
UNKNOWN_CONFIDENCE_MAX = 0.3


@dataclass(frozen=True, slots=True)
class Judgement:
    """`score` is -1 to 1, `confidence` and each of `emotions` (keys: EMOTIONS) 0 to 1.

    `language` is an ISO 639-1 code, None where it could not be told.
    """

    score: float
    label: Label
    confidence: float
    emotions: Mapping[str, float]
    topics: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    language: str | None = None


class Judge(Protocol):
    def judge(self, texts: Sequence[str]) -> list[Judgement]:
        """Judge each text by itself, in order."""
        ...


def cut(text: str) -> str:
    """The beginning and the end of a text, TEXT_CHARS_MAX characters together, as valid Unicode."""
    if len(text) > TEXT_CHARS_MAX:
        text = f"{text[: HEAD_CHARS - 1]} {text[HEAD_CHARS - TEXT_CHARS_MAX :]}"
    return text.encode("utf-8", "replace").decode().replace("\0", " ")
