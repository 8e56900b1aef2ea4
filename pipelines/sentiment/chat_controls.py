"""Messages of known sentiment among those that are asked about: a bent answer bends them, too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from pipelines.sentiment.judgement import Judgement, Label

CONTROLS_MAX = 4
ID_BITS = 32

# Wordings are put together anew each time: whoever writes a message cannot know them.
_THINGS = (
    "service", "support", "product", "team", "app", "store", "website", "help", "experience",
    "delivery", "checkout", "update", "company", "order",
)  # fmt: skip
_OPENINGS = ("", "Hi, ", "Hello! ", "Well, ", "So ", "Just to say: ", "Honestly, ", "Wow, ")
_GOOD = (
    "I love your {thing}, it is great{end}",
    "great {thing}, really excellent and good{end}",
    "your {thing} is amazing, I am so happy{end}",
    "thank you, the {thing} was excellent and I love it{end}",
    "this is the best {thing}, wonderful and great{end}",
    "fantastic {thing}, good work, I love it{end}",
    "perfect, great {thing}, I am very happy, thanks{end}",
    "awesome {thing}, I love how good it is{end}",
    "what a wonderful {thing}, great job, thank you{end}",
    "excellent {thing}, amazing people, very happy with it{end}",
)
_BAD = (
    "I hate your {thing}, it is terrible{end}",
    "terrible {thing}, really awful and bad{end}",
    "your {thing} is horrible, I am so angry{end}",
    "the worst {thing} ever, awful, I hate it{end}",
    "this {thing} is useless and terrible, I am angry{end}",
    "awful {thing}, bad from start to end, I hate it{end}",
    "horrible, terrible {thing}, the worst of all{end}",
    "bad {thing}, I am angry and very disappointed, awful{end}",
    "what a terrible {thing}, broken and useless, I hate this{end}",
    "the {thing} is broken again, terrible, the worst{end}",
)
_ENDS = (".", "!", "!!", "")


@dataclass(frozen=True, slots=True)
class Company:
    """`texts` by id, in the order to ask in; of the ids that are in `controls` the answer is
    known. The first and the last are controls, as these places can be named in advance.
    """

    texts: Mapping[str, str]
    controls: Mapping[str, Label]

    def finds_wrong(self, answers: Mapping[str, Judgement]) -> bool:
        return any(
            each in answers and answers[each].label != label
            for each, label in self.controls.items()
        )

    def is_shown(self, answers: Mapping[str, Judgement]) -> bool:
        """Whether enough controls were answered to: one of each pole."""
        answered = {label for each, label in self.controls.items() if each in answers}
        return answered == set(self.controls.values())


def gather(texts: Sequence[str], random: Random) -> Company:
    """Put texts in an order nobody can foretell, under ids nobody can guess, with controls.

    A text alone needs none: nobody else is there to change its judgement.
    """
    rest: list[tuple[str, Label | None]] = [(text, None) for text in texts]
    if len(rest) == 1:
        return _number(rest, random)
    first, last, *between = draw_controls(count_controls(len(texts)), random)
    inner = [*rest, *between]
    random.shuffle(inner)
    return _number([first, *inner, last], random)


def count_controls(texts: int) -> int:
    """From five texts on both poles stand between them, too."""
    return min(texts, 3) if texts < 5 else CONTROLS_MAX


def draw_controls(count: int, random: Random) -> list[tuple[str, Label]]:
    """One pole after the other; which comes first is chance."""
    poles: list[Label] = ["positive", "negative"] * CONTROLS_MAX
    begin = random.randrange(2)
    return [(_word(pole, random), pole) for pole in poles[begin : begin + count]]


def _word(pole: Label, random: Random) -> str:
    pattern = random.choice(_GOOD if pole == "positive" else _BAD)
    sentence = pattern.format(thing=random.choice(_THINGS), end=random.choice(_ENDS))
    return f"{random.choice(_OPENINGS)}{sentence[0].upper()}{sentence[1:]}"


def _number(members: Sequence[tuple[str, Label | None]], random: Random) -> Company:
    ids = list[str]()
    while len(ids) < len(members):
        each = f"{random.getrandbits(ID_BITS):08x}"
        if each not in ids:
            ids.append(each)
    return Company(
        texts={each: text for each, (text, _) in zip(ids, members, strict=True)},
        controls={
            each: label for each, (_, label) in zip(ids, members, strict=True) if label is not None
        },
    )
