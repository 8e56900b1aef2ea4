"""Support messages made from sentences of our own, and from words of known valence."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from random import Random
from xml.etree import ElementTree

from pipelines.sentiment.judgement import EMOTIONS
from tests.benchmarks.sentiment_training.corpora import Example, only, read_tsv

HERE = Path(__file__).parent
SEED = 1
# How many messages are drawn from one sentence, for each slot once more.
DRAWN_ENGLISH = 9
DRAWN_OTHER = 4
ENGLISH_WEIGHT = 1.4
OTHER_WEIGHT = 1.2
_SLOT = re.compile(r"\{(\w+)\}")
_TONES = {
    "sadness": r"disappoint|sad|cry|lost|shame|pity|regret|ruined|sorry|😭|😢|💔|😞|gone|alone"
    r"|enttäusch|decepcion|déçu|delus",
    "fear": r"afraid|worried|scared|nervous|lost my|stolen|panic",
    "disgust": r"disgust|gross|hair in|🤮|rubbish|garbage|filthy",
    "surprise": r"\bwow\b|can't believe|really\?|unexpected|surpris|earlier than",
}


def draw_support() -> list[Example]:
    random = Random(SEED)
    drawn = [
        *_draw_file("support_english.txt", random),
        *_draw_file("support_languages.txt", random),
    ]
    for language, label, sentences in read_tsv(HERE / "support_glimpses.tsv"):
        for sentence in sentences.split("|"):
            drawn += [
                _example(label, text, language) for text in (sentence, _dress(sentence, random))
            ]
    return balance(drawn)


def balance(examples: list[Example]) -> list[Example]:
    """Rarer labels weigh more, though not as much as to make all three equal."""
    counts = [sum(example.label == label for example in examples) for label in range(3)]
    scale = [(len(examples) / 3 / count) ** 0.7 for count in counts]
    return [
        Example(one.text, one.shares, one.weight * scale[one.label], one.emotions, one.language)
        for one in examples
    ]


def _draw_file(name: str, random: Random) -> Iterator[Example]:
    slots: dict[str, list[str]] = {}
    language = "en"
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if re.fullmatch(r"# [a-z]{2}", line):
            language = line[2:]
        elif line.startswith("@"):
            slot, choices = line[1:].split("\t")
            slots[slot] = choices.split("|")
        elif line and not line.startswith("#"):
            label, sentence = line.split("\t")
            for text in sorted(_fill(sentence, slots, random, language)):
                yield _example(label, text, language)


def _fill(sentence: str, slots: dict[str, list[str]], random: Random, language: str) -> set[str]:
    drawn = DRAWN_ENGLISH if language == "en" else DRAWN_OTHER
    times = drawn * (1 + min(2, len(_SLOT.findall(sentence))))
    return {_dress(_fill_once(sentence, slots, random).strip(), random) for _ in range(times)}


def _fill_once(sentence: str, slots: dict[str, list[str]], random: Random) -> str:
    """Choices may hold slots themselves."""
    while _SLOT.search(sentence):
        sentence = _SLOT.sub(lambda match: random.choice(slots[match[1]]), sentence)
    return sentence


def _dress(text: str, random: Random) -> str:
    """Case and closing marks as people write them."""
    chance = random.random()
    if chance < 0.06:
        text = text.upper()
    elif chance < 0.4:
        text = text[0].upper() + text[1:]
    elif chance > 0.75:
        text = re.sub(r"\bI\b", "i", text)
    ends = ["!", "!!", ".", "...", ""]
    return text.rstrip(".") + random.choice(ends) if random.random() < 0.15 else text


def _example(label: str, text: str, language: str) -> Example:
    weight = ENGLISH_WEIGHT if language == "en" else OTHER_WEIGHT
    return Example(text, only(label), weight, _feel(label, text.lower()), language)


def _feel(label: str, text: str) -> tuple[float, ...]:
    felt = {emotion: 0.8 for emotion, tone in _TONES.items() if re.search(tone, text)}
    if label == "positive":
        felt["joy"] = 0.9
    if label == "negative":
        felt["anger"] = 0.35 if felt else 0.7
    scale = 0.2 if label == "neutral" else 1.0
    return tuple(felt.get(emotion, 0.0) * scale for emotion in EMOTIONS)


# Words of known valence.

FILMS = (
    "film movie story performance script plot cast director place day game book song phone hotel"
    " thing guy idea one comedy drama acting picture work tale service app"
).split()
DEGREES = "really very just so pretty quite extremely".split()
SAID = (
    *("a {w} {n}", "the {n} is {w}", "{w} and {x}", "it's {w}", "{w} {n}", "so {w}", "{w}"),
    *("i find it {w}", "this {n} was {i} {w}", "{w} , {x} and {x}", "too {w}"),
)
SAID_OF_NOUNS = ("{w}", "{w} and {x}", "so much {w}", "{w} {n}")
DENIED = (
    *("not {w}", "it is not {w}", "the {n} isn't {w}", "not {w} at all", "never {w}"),
    *("hardly {w}", "neither {w} nor {x}", "not a {w} {n}", "it wasn't {w}"),
)
TURNED = (
    *("{x} but {w}", "{x} , but {w}", "it's {x} but in the end {w}", "{x} at first , yet {w}"),
    *("although {x} , it is {w}", "despite being {x} it's {w}"),
)
TOLD_MIN = 0.25
DRAWN_WORD = 3
WORD_WEIGHT = 0.35


def read_lexicon() -> tuple[dict[str, float], set[str]]:
    """Words and their valence, -1 to 1: VADER's and TextBlob's, the mean where both know a word.

    Also which of them are adjectives.
    """
    lines = files("vaderSentiment").joinpath("vader_lexicon.txt").read_text("utf-8").splitlines()
    pairs = (line.split("\t")[:2] for line in lines if "\t" in line)
    found = {
        word: max(-1.0, min(1.0, float(valence) / 3))
        for word, valence in pairs
        if re.fullmatch("[a-z'-]+", word)
    }
    senses: dict[str, list[float]] = {}
    adjectives = set()
    source = files("textblob").joinpath("en", "en-sentiment.xml").read_text("utf-8")
    for word in ElementTree.fromstring(source):
        senses.setdefault(word.attrib["form"], []).append(float(word.attrib["polarity"]))
        if word.attrib["pos"] == "JJ":
            adjectives.add(word.attrib["form"])
    for form, valences in senses.items():
        mean = sum(valences) / len(valences)
        found[form] = (found[form] + mean) / 2 if form in found else mean
    return found, adjectives


def draw_words() -> list[Example]:
    random = Random(SEED)
    lexicon, adjectives = read_lexicon()
    liked = [word for word, valence in lexicon.items() if valence > TOLD_MIN and word in adjectives]
    disliked = [
        word for word, valence in lexicon.items() if valence < -TOLD_MIN and word in adjectives
    ]
    drawn = []
    for word, valence in lexicon.items():
        shares = _share(valence)
        drawn.append(Example(word, shares, 0.5))
        if abs(valence) <= TOLD_MIN:
            continue
        same, other = (liked, disliked) if valence > 0 else (disliked, liked)
        ways = SAID if word in adjectives else SAID_OF_NOUNS
        for way in random.sample(ways, DRAWN_WORD):
            drawn.append(Example(_say(way, word, same, random), shares, WORD_WEIGHT))
        if word in adjectives:
            denied = (0.75, 0.25, 0.0) if valence > 0 else (0.1, 0.35, 0.55)
            turned = (0.05, 0.2, 0.75) if valence > 0 else (0.75, 0.2, 0.05)
            text = _say(random.choice(DENIED), word, same, random)
            drawn.append(Example(text, denied, WORD_WEIGHT))
            text = _say(random.choice(TURNED), word, other, random)
            drawn.append(Example(text, turned, WORD_WEIGHT))
    return drawn


def _share(valence: float) -> tuple[float, ...]:
    told = min(1.0, abs(valence) * 1.3)
    return (told, 1 - told, 0.0) if valence < 0 else (0.0, 1 - told, told)


def _say(way: str, word: str, others: list[str], random: Random) -> str:
    return way.format(
        w=word, x=random.choice(others), n=random.choice(FILMS), i=random.choice(DEGREES)
    )
