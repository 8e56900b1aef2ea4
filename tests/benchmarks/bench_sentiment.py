"""The local judge of sentiment beside VADER and TextBlob: who is right, how often, how fast.

Support messages of our own lie in tests/samples/sentiment. Other labelled texts are not part of
the project: SENTIMENT_DATA names a folder with `tweets-multilingual/`, `goemotions-group/`,
`goemotions-ekman/`, `tweeteval/` and `sst2/`, so: `SENTIMENT_DATA=... make bench ARGS=sentiment`.

"fitted" marks the sets that the weights of the judge's signals were chosen on; the model itself
never saw them. Texts that are among those it learnt from are left out. The sentences it learnt
support language from have the same author as the messages, and resemble them, those of the dev
part by intention; only the messages called "later" were written when the sentences were done.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.sentiment import model as models
from pipelines.sentiment.judgement import LABELS, TEXT_CHARS_MAX
from pipelines.sentiment.local_judge import LocalJudge
from tests.benchmarks.sentiment_training.corpora import (
    Example,
    leave_out,
    read_comments,
    read_plain,
    read_support,
    read_tweets,
)
from tests.benchmarks.sentiment_training.phrases import draw_support

SAMPLES = Path(__file__).parents[1] / "samples" / "sentiment"
WEIGHTS = Path(models.__file__).parent / models.WEIGHTS_FOLDER / models.WEIGHTS_FILE
# What the makers of VADER call neutral; of TextBlob's polarity the same is taken.
NEUTRAL_BELOW = 0.05
SPEED_MESSAGES = 2_000
REPETITIONS = 3
BATCHES = (1, 32, 256)
LATER = "later"

Matrix = NDArray[np.int64]
Scorer = Callable[[Sequence[str]], list[tuple[float, str]]]
Metric = Callable[["Seen"], float]


@dataclass(frozen=True)
class Set:
    name: str
    examples: list[Example]
    metric: str
    is_fitted: bool = False


@dataclass(frozen=True)
class Seen:
    """What one judge made of one set; `matrix` has a row a true label, a column a given one."""

    matrix: Matrix
    signs_right: float


def main() -> None:
    packages = ("numpy", "tokenizers", "wordllama", "vaderSentiment", "textblob")
    print(
        f"Python {python_version()}, " + ", ".join(f"{each} {version(each)}" for each in packages)
    )
    print(f"texts cut at {TEXT_CHARS_MAX:,} characters; lexicons neutral below {NEUTRAL_BELOW}")
    sets = [*read_own(), *read_given(os.environ.get("SENTIMENT_DATA"))]
    seen = {
        each.name: {name: see(each, scorer) for name, scorer in SCORERS.items()} for each in sets
    }
    print_figures(sets, seen)
    for each in sets:
        print_matrix(each, seen[each.name]["local"].matrix)
    print_speed()


def read_own() -> Iterator[Set]:
    drawn = draw_support()
    for part in ("test", "dev"):
        path = SAMPLES / f"support.{part}.tsv"
        later = read_support(path, tag=LATER)
        examples = leave_out(read_support(path), [*drawn, *later])
        english = [one for one in examples if one.language == "en"]
        other = [one for one in examples if one.language != "en"]
        yield Set(f"support {part}", english, "macro-F1", part == "dev")
        yield Set(f"support {part}, later", later, "macro-F1", part == "dev")
        yield Set(f"support {part}, other languages", other, "macro-F1", part == "dev")


def read_given(folder: str | None) -> Iterator[Set]:
    if not folder:
        print("SENTIMENT_DATA is not set: only our own messages are judged")
        return
    learnt = [one for each in read_tweets(Path(folder), "train").values() for one in each]
    tweets = read_plain(Path(folder) / "tweeteval" / "english.val.tsv")
    yield Set("TweetEval", leave_out(tweets, learnt), "macro-recall")
    yield Set("SST-2", read_plain(Path(folder) / "sst2" / "dev.tsv"), "sign")
    comments = read_comments(Path(folder), "dev")
    yield Set("GoEmotions dev", comments, "macro-F1", is_fitted=True)
    for language, examples in read_tweets(Path(folder), "val").items():
        yield Set(f"tweets {language}", leave_out(examples, learnt), "macro-F1", is_fitted=True)


# The judges.


def judge_locally(texts: Sequence[str]) -> list[tuple[float, str]]:
    return [(each.score, each.label) for each in LocalJudge().judge(texts)]


def judge_by_vader(texts: Sequence[str]) -> list[tuple[float, str]]:
    return [name(load_vader().polarity_scores(text)["compound"]) for text in texts]


@cache
def load_vader() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def judge_by_textblob(texts: Sequence[str]) -> list[tuple[float, str]]:
    from textblob import TextBlob

    return [name(TextBlob(text).sentiment.polarity) for text in texts]


def name(score: float) -> tuple[float, str]:
    if abs(score) < NEUTRAL_BELOW:
        return score, "neutral"
    return score, "positive" if score > 0 else "negative"


SCORERS: dict[str, Scorer] = {
    "local": judge_locally,
    "VADER": judge_by_vader,
    "TextBlob": judge_by_textblob,
}


# The figures.


def see(given: Set, scorer: Scorer) -> Seen:
    found = scorer([one.text for one in given.examples])
    matrix = np.zeros((3, 3), np.int64)
    for one, (_, label) in zip(given.examples, found, strict=True):
        matrix[one.label, LABELS.index(label)] += 1
    right = [(s > 0) == (e.label == 2) for e, (s, _) in zip(given.examples, found, strict=True)]
    return Seen(matrix, float(np.mean(right)))


def find_recall(seen: Seen) -> float:
    sizes = seen.matrix.sum(axis=1)
    return float((seen.matrix.diagonal()[sizes > 0] / sizes[sizes > 0]).mean())


def find_f1(seen: Seen) -> float:
    both = seen.matrix.sum(axis=0) + seen.matrix.sum(axis=1)
    return float((2 * seen.matrix.diagonal() / np.maximum(both, 1))[both > 0].mean())


def find_accuracy(seen: Seen) -> float:
    return float(seen.matrix.trace() / seen.matrix.sum())


# "sign" is for texts without neutral ones: right is a score above 0 for positive, else negative.
METRICS: dict[str, Metric] = {
    "macro-recall": find_recall,
    "macro-F1": find_f1,
    "sign": lambda seen: seen.signs_right,
}


def print_figures(sets: Sequence[Set], seen: dict[str, dict[str, Seen]]) -> None:
    """Losses against the better lexicon first; the metric, and accuracy in brackets."""
    lines = []
    for each in sets:
        figures = {who: METRICS[each.metric](of) for who, of in seen[each.name].items()}
        lead = figures["local"] - max(figures["VADER"], figures["TextBlob"])
        told = "  ".join(
            f"{who} {figure:.3f} ({find_accuracy(seen[each.name][who]):.3f})"
            for who, figure in figures.items()
        )
        note = " fitted" if each.is_fitted else ""
        lines.append((lead, f"{told}  {each.name}, {each.metric}, {len(each.examples)}{note}"))
    print("\nmetric (accuracy)")
    for lead, line in sorted(lines):
        print(f"{'LOSS' if lead < 0 else 'ok':4}  {lead:+.3f}  {line}")


def print_matrix(given: Set, matrix: Matrix) -> None:
    print(f"\n{given.name}: true label down, given label across ({', '.join(LABELS)})")
    for label, row in zip(LABELS, matrix, strict=True):
        if row.sum():
            print(f"  {label:8}" + "".join(f"{count:7}" for count in row))


def print_speed() -> None:
    began = time.perf_counter()
    models.load_model.cache_clear()
    models.load_tokenizer.cache_clear()
    models.load_model()
    print(
        f"\nmodel {WEIGHTS.stat().st_size:,} bytes, loaded in {time.perf_counter() - began:.2f} s"
    )
    drawn = [one.text for one in draw_support()]
    messages = list(dict.fromkeys(drawn))[:: len(drawn) // SPEED_MESSAGES][:SPEED_MESSAGES]
    print(f"messages/s, best of {REPETITIONS}, one thread:")
    for size in BATCHES:
        batches = [messages[at : at + size] for at in range(0, len(messages), size)]
        print(f"  local, batches of {size:3}: {measure(judge_locally, batches):9,.0f}")
    for who in ("VADER", "TextBlob"):
        print(f"  {who:22}: {measure(SCORERS[who], [messages]):9,.0f}")


def measure(scorer: Scorer, batches: Sequence[Sequence[str]]) -> float:
    count = sum(map(len, batches))
    times = []
    for _ in range(REPETITIONS):
        began = time.perf_counter()
        for batch in batches:
            scorer(batch)
        times.append(time.perf_counter() - began)
    return count / min(times)
