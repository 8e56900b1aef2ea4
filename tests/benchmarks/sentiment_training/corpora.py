"""The labelled texts a model may learn from, and those it is only measured on."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.sentiment.judgement import EMOTIONS, LABELS

LANGUAGES = {
    "arabic": "ar",
    "english": "en",
    "french": "fr",
    "german": "de",
    "hindi": "hi",
    "italian": "it",
    "portuguese": "pt",
    "spanish": "es",
}
KEY_CHARS = 60
_ESCAPED = re.compile(r"\\u([0-9a-f]{4})")
_NOISE = re.compile(r"https?\S*|@\w*|[^\w@]+")


@dataclass(frozen=True, slots=True)
class Example:
    """`shares` of the three labels add up to 1; `emotions` in the order of EMOTIONS, or unknown."""

    text: str
    shares: tuple[float, ...]
    weight: float = 1.0
    emotions: tuple[float, ...] | None = None
    language: str | None = "en"

    @property
    def label(self) -> int:
        return max(range(3), key=lambda place: self.shares[place])


def read_tsv(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        return [line.rstrip("\n").split("\t") for line in file if "\t" in line]


def only(label: str) -> tuple[float, ...]:
    return tuple(float(each == label) for each in LABELS)


def read_plain(path: Path, *, language: str = "en", weight: float = 1.0) -> list[Example]:
    """Lines of a label and a text."""
    return [
        Example(mend(text), only(label), weight, language=language)
        for label, text in read_tsv(path)
    ]


def read_tweets(folder: Path, part: str) -> dict[str, list[Example]]:
    return {
        code: read_plain(
            folder / "tweets-multilingual" / f"{name}.{part}.tsv",
            language=code,
            weight=3.0 if code == "en" else 2.0,
        )
        for name, code in LANGUAGES.items()
    }


def read_comments(folder: Path, part: str) -> list[Example]:
    """GoEmotions: `ambiguous` (surprise, curiosity, confusion) counts as neutral."""
    groups = read_tsv(folder / "goemotions-group" / f"{part}.tsv")
    ekman = read_tsv(folder / "goemotions-ekman" / f"{part}.tsv")
    return [
        Example(
            mend(text),
            share(labels.replace("ambiguous", "neutral").split(",")),
            emotions=tuple(float(emotion in felt.split(",")) for emotion in EMOTIONS),
        )
        for (labels, text), (felt, _) in zip(groups, ekman, strict=True)
    ]


def share(labels: Sequence[str]) -> tuple[float, ...]:
    return tuple(labels.count(label) / len(labels) for label in LABELS)


def read_support(path: Path, *, tag: str | None = None) -> list[Example]:
    """Lines of a label, a tag (a language where it is not English) and a message.

    With `tag`, those of it alone.
    """
    return [
        Example(text, only(label), language=each if len(each) == 2 else "en")
        for label, each, text in read_tsv(path)
        if tag in {None, each}
    ]


def mend(text: str) -> str:
    """Some of the tweets carry the escapes of the format they once were stored in."""
    text = html.unescape(text)
    if "\\" not in text:
        return text
    text = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    text = text.replace("\\n", " ").replace('\\"', '"')
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def strip(text: str) -> str:
    return " ".join(_NOISE.sub(" ", text.lower()).split())[:KEY_CHARS]


def leave_out(examples: Iterable[Example], known: Iterable[Example]) -> list[Example]:
    """Those whose text is not among the known ones: the sets of tweets overlap."""
    keys = {strip(example.text) for example in known}
    return [example for example in examples if strip(example.text) not in keys]
