"""How pleasant the words of an English text are, after what stands before them: not, very, but."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.sentiment.grams import NEGATION

# How far back a word is looked for what turns or strengthens it.
REACH_WORDS = 3
TURNED_SHARE = -0.74
STRONGER = 0.3
WEAKER = -0.3
BEFORE_BUT_SHARE = 0.5
AFTER_BUT_SHARE = 1.5
# With this the sum of one strong word is about 0.6, of five about 0.95.
SOFTENING = 2.0

_STRONG = frozenset(
    "very really so extremely absolutely totally incredibly completely utterly highly most truly"
    " super too such damn fucking bloody deeply especially exceptionally particularly".split()
)
_WEAK = frozenset("slightly somewhat little kinda kind sort partly barely almost bit".split())
_BUT = frozenset({"but", "however", "yet", "though", "unfortunately", "sadly"})


@dataclass(frozen=True, slots=True)
class Valence:
    """`total` is -1 to 1; `pleasant` and `unpleasant` are what it is made of, 0 to 1 each."""

    total: float
    pleasant: float
    unpleasant: float


def weigh(tokens: list[str], lexicon: Mapping[str, float]) -> Valence:
    weights = [_weigh_word(tokens, place, lexicon) for place in range(len(tokens))]
    turn = max((place for place, token in enumerate(tokens) if token in _BUT), default=None)
    if turn is not None:
        before = [weight * BEFORE_BUT_SHARE for weight in weights[:turn]]
        weights = before + [weight * AFTER_BUT_SHARE for weight in weights[turn:]]
    return Valence(
        total=_soften(sum(weights)),
        pleasant=_soften(sum(weight for weight in weights if weight > 0)),
        unpleasant=-_soften(sum(weight for weight in weights if weight < 0)),
    )


def _weigh_word(tokens: list[str], place: int, lexicon: Mapping[str, float]) -> float:
    weight = lexicon.get(tokens[place], 0.0)
    if not weight:
        return 0.0
    before = tokens[max(0, place - REACH_WORDS) : place]
    if any(token in _STRONG for token in before):
        weight *= 1 + STRONGER
    if any(token in _WEAK for token in before):
        weight *= 1 + WEAKER
    return weight * TURNED_SHARE if any(map(NEGATION.fullmatch, before)) else weight


def _soften(total: float) -> float:
    return total / math.sqrt(total * total + SOFTENING)
