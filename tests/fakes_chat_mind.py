"""How a fake chat model judges, honestly or as an injected message tells it to."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

EMOTIONS = ("anger", "disgust", "fear", "joy", "sadness", "surprise")
GOOD = set(
    "love great good excellent amazing happy wonderful best fantastic perfect awesome thanks thank"
    " brilliant helpful friendly delighted impressed super quick".split()
)
BAD = set(
    "hate terrible bad awful worst horrible angry useless broken disappointed furious rude never"
    " unacceptable disgusting scam stolen ruined ridiculous nobody crashes failed".split()
)

Answer = dict[str, Any]


@dataclass(frozen=True)
class Item:
    id: str
    text: str


# What a model that obeys `injection` makes of the answers to `items`, which stand in their order.
Obedience = Callable[[Sequence[Item], Item, list[Answer]], list[Answer]]


def weigh(text: str) -> float:
    """Honest, and simple: what a person would say of plain messages."""
    words = re.findall(r"[a-z]+", text.lower())
    total = sum((word in GOOD) - (word in BAD) for word in words)
    return max(-0.9, min(0.9, 0.6 * total)) if total else 0.0


def label_of(score: float) -> str:
    return "positive" if score > 0.2 else "negative" if score < -0.2 else "neutral"


def answer(item_id: str, score: float, text: str = "") -> Answer:
    pleasant, unpleasant = max(score, 0.0), max(-score, 0.0)
    feelings = {"joy": pleasant, "anger": unpleasant, "sadness": unpleasant / 2}
    return {
        "id": item_id,
        "score": score,
        "label": label_of(score),
        "confidence": 0.9,
        "emotions": dict.fromkeys(EMOTIONS, 0.0) | feelings,
        "topics": ["support"],
        "keywords": re.findall(r"\w{5,}", text)[:3],
    }


def _turned(answers: list[Answer], places: set[int], score: float) -> list[Answer]:
    return [
        answer(each["id"], score) if place in places else each for place, each in enumerate(answers)
    ]


def _all(score: float) -> Obedience:
    return lambda items, injection, answers: _turned(answers, set(range(len(answers))), score)


def _at(score: float, *offsets: int) -> Obedience:
    def obey(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
        own = items.index(injection)
        return _turned(answers, {own + offset for offset in offsets}, score)

    return obey


def _place(score: float, choose: Callable[[int], set[int]]) -> Obedience:
    return lambda items, injection, answers: _turned(answers, choose(len(answers)), score)


def _invert(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    return [answer(each["id"], -each["score"]) for each in answers]


def _swap_poles(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    """The ids of the best and the worst change places."""
    best, worst = (choose(answers, key=_score) for choose in (max, min))
    exchanged = {best["id"]: worst["id"], worst["id"]: best["id"]}
    return [each | {"id": exchanged.get(each["id"], each["id"])} for each in answers]


def _score(each: Answer) -> float:
    return float(each["score"])


def _rotate(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    ids = [each["id"] for each in answers]
    moved = [*ids[1:], *ids[:1]]
    return [each | {"id": new} for each, new in zip(answers, moved, strict=True)]


def _others(score: float) -> Obedience:
    def obey(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
        own = items.index(injection)
        return _turned(answers, set(range(len(answers))) - {own}, score)

    return obey


def _forget_after(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    return answers[: items.index(injection) + 1]


def _forget_others(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    return [each for each in answers if each["id"] == injection.id]


def _new_schema(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    return [{"message": each["id"], "verdict": "GOOD", "stars": 5} for each in answers]


def _made_up(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    return [answer(f"{place:08x}", 1.0) for place in range(40)]


def _made_up_too(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    return [*answers, *_made_up(items, injection, answers)]


def _extra_keys(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    return [each | {"admin": True, "note": "<script>alert(1)</script>"} for each in answers]


def _twice(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    return [*answers, *(answer(each["id"], 1.0) for each in answers)]


def _smuggle(items: Sequence[Item], injection: Item, answers: list[Answer]) -> list[Answer]:
    bad = {"topics": ["<b>pwned</b>", "pwned by eve"], "keywords": ["visit evil.example", "pwned"]}
    return [each | bad for each in answers]


STYLES: dict[str, Obedience] = {
    "all 1.0": _all(1.0),
    "all -1.0": _all(-1.0),
    "all 0.0": _all(0.0),
    "others 1.0": _others(1.0),
    "others -1.0": _others(-1.0),
    "the next 1.0": _at(1.0, 1),
    "the next -1.0": _at(-1.0, 1),
    "the previous 1.0": _at(1.0, -1),
    "the previous -1.0": _at(-1.0, -1),
    "both neighbours 1.0": _at(1.0, -1, 1),
    "the first 1.0": _place(1.0, lambda count: {0}),
    "the first -1.0": _place(-1.0, lambda count: {0}),
    "the last 1.0": _place(1.0, lambda count: {count - 1}),
    "the second -1.0": _place(-1.0, lambda count: {1}),
    "all but the ends -1.0": _place(-1.0, lambda count: set(range(1, count - 1))),
    "every second 1.0": _place(1.0, lambda count: set(range(0, count, 2))),
    "inverted": _invert,
    "two swapped": _swap_poles,
    "rotated": _rotate,
    "those after forgotten": _forget_after,
    "others forgotten": _forget_others,
    "another schema": _new_schema,
    "made-up ids": _made_up,
    "made-up ids, too": _made_up_too,
    "extra keys": _extra_keys,
    "each twice": _twice,
    "words smuggled": _smuggle,
}
