"""The score of a conversation from the scores of its visitor's messages.

It is a mean in which messages weigh differently:

- how sure the judge was: a message judged with a confidence of 0.3 weighs a third of 0.9;
- how long ago it was: HALF_LIFE messages with feeling later a message counts half, for how a
  visitor leaves matters more than how they came. Neutral messages make nothing older: five order
  numbers after a complaint take nothing back;
- whether it says anything: a neutral message weighs NEUTRAL_WEIGHT, and all of them together at
  most NEUTRAL_SHARE_MAX of the whole beside a message with feeling, so that greetings and "ok"
  soften a complaint and never drown it.

The same weights give the confidence and the emotions. A score of LABEL_SCORE_MIN or more is
positive, of minus that or less negative; a conversation of one message is labelled as that is.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import fsum

from pipelines.sentiment.judgement import (
    EMOTIONS,
    KEYWORDS_MAX,
    TOPICS_MAX,
    Judgement,
    Label,
)
from pipelines.sentiment.verdict import Judged

HALF_LIFE = 3.0
NEUTRAL_WEIGHT = 0.25
NEUTRAL_SHARE_MAX = 0.2
LABEL_SCORE_MIN = 0.2
# What nobody is sure of still says more than nothing.
CONFIDENCE_MIN = 0.05
DIGITS = 3


def judge_conversation(messages: Sequence[Judged]) -> Judged | None:
    """What the messages, oldest first, amount to; None without any."""
    if not messages:
        return None
    judgements = [message.judgement for message in messages]
    weights = weigh(judgements)
    score = mean([each.score for each in judgements], weights)
    label = judgements[0].label if len(judgements) == 1 else label_of(score)
    judgement = Judgement(
        score=score,
        label=label,
        confidence=mean([each.confidence for each in judgements], weights),
        emotions={
            name: mean([each.emotions.get(name, 0.0) for each in judgements], weights)
            for name in EMOTIONS
        },
        topics=most_frequent((each.topics for each in judgements), TOPICS_MAX),
        keywords=most_frequent((each.keywords for each in judgements), KEYWORDS_MAX),
    )
    return Judged(judgement, ", ".join(sorted({each.judge for each in messages} - {""})))


def weigh(judgements: Sequence[Judgement]) -> list[float]:
    """A weight above zero for each message, as described above."""
    weights: list[float] = []
    felt_since = 0
    for each in reversed(judgements):
        weight = max(each.confidence, CONFIDENCE_MIN) * 0.5 ** (felt_since / HALF_LIFE)
        weights.append(weight if is_felt(each) else weight * NEUTRAL_WEIGHT)
        felt_since += is_felt(each)
    weights.reverse()
    return hold_back(weights, judgements)


def hold_back(weights: Sequence[float], judgements: Sequence[Judgement]) -> list[float]:
    """Keep neutral messages to their share beside those with feeling."""
    pairs = list(zip(weights, judgements, strict=True))
    felt = fsum(weight for weight, each in pairs if is_felt(each))
    neutral = fsum(weight for weight, each in pairs if not is_felt(each))
    allowed = felt * NEUTRAL_SHARE_MAX / (1 - NEUTRAL_SHARE_MAX)
    if felt == 0 or neutral <= allowed:
        return list(weights)
    return [weight if is_felt(each) else weight * allowed / neutral for weight, each in pairs]


def is_felt(judgement: Judgement) -> bool:
    return judgement.label != "neutral"


def mean(values: Sequence[float], weights: Sequence[float]) -> float:
    whole = fsum(value * weight for value, weight in zip(values, weights, strict=True))
    return round(whole / fsum(weights), DIGITS)


def label_of(score: float) -> Label:
    if score <= -LABEL_SCORE_MIN:
        return "negative"
    return "positive" if score >= LABEL_SCORE_MIN else "neutral"


def most_frequent(lists: Iterable[Sequence[str]], count_max: int) -> tuple[str, ...]:
    """Of equally frequent ones those of the latest message, in its order, come first."""
    counts = Counter(word for words in reversed([*lists]) for word in dict.fromkeys(words))
    return tuple(word for word, _ in counts.most_common(count_max))
