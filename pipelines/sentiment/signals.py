"""What is known of a message before its label is decided: answers of two models and its words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.sentiment.grams import hash_grams, words
from pipelines.sentiment.language import tell_language
from pipelines.sentiment.model import Model
from pipelines.sentiment.network import Floats
from pipelines.sentiment.turn import find_end
from pipelines.sentiment.valence import weigh
from pipelines.sentiment.wording import has_words, keep_letters, normalise

LABELS_COUNT = 3
# Of "thanks, but it fails" the second half says what is meant.
END_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Signals:
    """`features` is what a blend weighs; `emotions` are shares in the order of EMOTIONS."""

    normalised: str
    features: Floats
    emotions: Floats
    language: str | None
    has_words: bool
    has_letters: bool


def read_signals(texts: Sequence[str], model: Model) -> list[Signals]:
    normalised = [normalise(text) for text in texts]
    ends = {text: end for text in normalised if (end := find_end(text)) != text}
    read = list(dict.fromkeys([*normalised, *ends.values()]))
    answers = dict(zip(read, model.network.answer(model.cut_pieces(read)), strict=True))
    return [
        _read(keep_letters(raw), text, ends.get(text, text), answers, model)
        for raw, text in zip(texts, normalised, strict=True)
    ]


def mix(whole: Floats, end: Floats) -> Floats:
    mixed: Floats = whole * (1 - END_SHARE) + end * END_SHARE
    return mixed


def _read(
    letters: str, text: str, end: str, answers: Mapping[str, Floats], model: Model
) -> Signals:
    grams = hash_grams(text)
    answer = mix(answers[text], answers[end])
    tokens = words(text)
    labels = model.labels.answer(grams)
    if end != text:
        labels = mix(labels, model.labels.answer(hash_grams(end)))
    valence = weigh(tokens, model.lexicon)
    features = [
        *log_shares(answer[:LABELS_COUNT]),
        *log_shares(labels),
        *(valence.total, abs(valence.total), valence.pleasant, valence.unpleasant),
        *("?" in text, len(tokens) <= 3, 1.0),
    ]
    return Signals(
        normalised=text,
        features=np.array(features, dtype=np.float32),
        emotions=(1 / (1 + np.exp(-answer[LABELS_COUNT:]))).astype(np.float32),
        language=tell_language(letters, grams, model.languages),
        has_words=has_words(text),
        has_letters=bool(letters),
    )


def log_shares(answers: Floats) -> Floats:
    spread = answers - answers.max()
    shares: Floats = (spread - np.log(np.exp(spread).sum())).astype(np.float32)
    return shares
