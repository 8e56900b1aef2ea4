"""The judge that needs no key and no network: a model of a few megabytes in this package."""

from collections.abc import Sequence

import numpy as np

from pipelines.sentiment.judgement import (
    EMOTIONS,
    LABELS,
    UNKNOWN_CONFIDENCE_MAX,
    Judgement,
)
from pipelines.sentiment.keywords import find_keywords
from pipelines.sentiment.language import ENGLISH, GLIMPSED, LEARNT
from pipelines.sentiment.model import Model, load_model
from pipelines.sentiment.network import Floats
from pipelines.sentiment.signals import Signals, read_signals
from pipelines.sentiment.topics import find_topics

# Measured: of tweets in these languages the model names the right label of three for six in ten,
# so none of them is claimed to be more likely than not.
LEARNT_CONFIDENCE_MAX = 0.45
GLIMPSED_CONFIDENCE_MAX = 0.35
WORDLESS_CONFIDENCE_MAX = 0.2
DIGITS = 3


class LocalJudge:
    """Loads at first use; the same text gets the same judgement, whatever stands beside it."""

    def judge(self, texts: Sequence[str]) -> list[Judgement]:
        if not texts:
            return []
        model = load_model()
        signals = read_signals(texts, model)
        return [_decide(text, each, model) for text, each in zip(texts, signals, strict=True)]


def _decide(text: str, signals: Signals, model: Model) -> Judgement:
    if not signals.has_words:
        return _say_nothing()
    shares = blend(signals, model)
    label = LABELS[int(shares.argmax())]
    return Judgement(
        score=round(float(shares[2] - shares[0]), DIGITS),
        label=label,
        confidence=round(min(float(shares.max()), limit_confidence(signals)), DIGITS),
        emotions={
            name: round(float(share), DIGITS)
            for name, share in zip(EMOTIONS, signals.emotions, strict=True)
        },
        topics=find_topics(signals.normalised, is_negative=label == "negative"),
        keywords=find_keywords(text),
        language=signals.language,
    )


def _say_nothing() -> Judgement:
    """Of numbers, addresses and punctuation alone nothing can be said."""
    return Judgement(
        score=0.0,
        label="neutral",
        confidence=WORDLESS_CONFIDENCE_MAX,
        emotions=dict.fromkeys(EMOTIONS, 0.0),
    )


def blend(signals: Signals, model: Model) -> Floats:
    """The shares of the three labels."""
    is_english = signals.language in {ENGLISH, None}
    answers = signals.features @ model.blends[0 if is_english else 1]
    spread = np.exp(answers - answers.max())
    shares: Floats = spread / spread.sum()
    return shares


def limit_confidence(signals: Signals) -> float:
    """Emojis alone are of every language."""
    if signals.language == ENGLISH or not signals.has_letters:
        return 1.0
    if signals.language in LEARNT:
        return LEARNT_CONFIDENCE_MAX
    return GLIMPSED_CONFIDENCE_MAX if signals.language in GLIMPSED else UNKNOWN_CONFIDENCE_MAX
