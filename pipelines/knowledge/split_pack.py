"""Choose the cuts: the cheapest way through the places, by dynamic programming."""

from array import array
from collections import deque
from math import sqrt

import numpy as np

from pipelines.knowledge.split_grade import Place
from pipelines.knowledge.split_measure import Marks
from pipelines.knowledge.split_window import Ints

CHUNK_PRICE = 10_000  # Prices are whole numbers: a sum must not depend on what lies far before.
PRICES = {
    Place.SECTION: -2000,
    Place.BLOCK: -1000,
    Place.LINE: -500,
    Place.SENTENCE: 0,
    Place.LOOSE: 1000,
    Place.CLAUSE: 3000,
    Place.WORD: 6000,
    Place.CODE_BLANK: 0,
    Place.CODE_LINE: 1000,
    Place.GLUE: 8000,
    Place.INSIDE: 5000,
    Place.GRAPHEME: 0,
}
LUCK = 1100  # The mean of the discounts that the places draw, by their hashes ...
LUCK_TOKENS = 512  # ... for this target; a larger one has more places to draw, each gets less.
SMALL_SHARE = 0.5  # Of the target: a smaller chunk costs SMALL_PRICE more.
SMALL_PRICE = 3000


def choose_cuts(marks: Marks, *, tokens_target: int) -> list[int]:
    """Return the indices of the chosen places, the first and the last included.

    A chunk holds more than `tokens_target` only where two neighbouring places lie so far apart.
    """
    came_from = _find_way(marks, tokens_target)
    chosen = [len(came_from) - 1]
    while chosen[-1]:
        chosen.append(came_from[chosen[-1]])
    return chosen[::-1]


def _find_way(marks: Marks, tokens_target: int) -> "array[int]":
    """Return for each place where the last chunk begins on the cheapest way there."""
    left, right = _numbers(marks.left), _numbers(_rising(marks.right))
    prices, single = _numbers(_price(marks, tokens_target)), bytes(marks.single)
    tokens_small = int(tokens_target * SMALL_SHARE)
    paid, came_from = array("q", bytes(8 * len(left))), array("q", bytes(8 * len(left)))
    fitting: deque[int] = deque()  # Where a chunk to here may begin; the first is the cheapest.
    filling: deque[int] = deque()  # Where it may begin and is not small.
    unfilled = 0
    for here in range(1, len(left)):
        end, before = left[here], here - 1
        price = paid[before]
        while fitting and paid[fitting[-1]] > price:
            fitting.pop()
        fitting.append(before)
        while end - right[fitting[0]] > tokens_target and len(fitting) > 1:
            fitting.popleft()
        while end - right[unfilled] >= tokens_small and unfilled < here:
            price = paid[unfilled]
            while filling and paid[filling[-1]] > price:
                filling.pop()
            filling.append(unfilled)
            unfilled += 1
        while filling and end - right[filling[0]] > tokens_target:
            filling.popleft()
        origin, price = fitting[0], paid[fitting[0]] + SMALL_PRICE
        if filling and paid[filling[0]] <= price:
            origin, price = filling[0], paid[filling[0]]
        if single[here]:
            origin, price, unfilled = before, paid[before], here
            fitting.clear()
            filling.clear()
        came_from[here] = origin
        paid[here] = price + CHUNK_PRICE + prices[here]
    return came_from


def _numbers(values: Ints) -> "array[int]":
    """8 bytes a number, where a list of a large text's million places would take 40."""
    return array("q", values.astype(np.int64).tobytes())


def _rising(right: Ints) -> Ints:
    """Make counts rise with their places, never above the true ones: a chunk is never too long."""
    return np.minimum.accumulate(right[::-1])[::-1]


def _price(marks: Marks, tokens_target: int) -> Ints:
    """Price the places by their kind and by a discount drawn from an exponential distribution."""
    table = np.array([PRICES[place] for place in Place], np.int64)
    luck = LUCK * min(1.0, sqrt(LUCK_TOKENS / tokens_target))
    drawn = (marks.hashes >> np.uint64(11)).astype(np.float64) + 0.5
    return table[marks.places] + np.rint(luck * np.log(drawn / 2.0**53)).astype(np.int64)
