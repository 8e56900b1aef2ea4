"""What may come next in a filter: completions of the word that is being typed. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from workers.dashboard.filter_values import STATES
from workers.dashboard.filtering import FIELDS, quote, quote_name, unescape

SUGGESTIONS_MAX = 40
SPANS = ("1m", "10m", "1h", "6h", "1d", "7d")
# Fields with what they are good for; the first ones are offered for an empty line.
MEANINGS = {
    "kind:": "what it does",
    "state:": "where it is in its life",
    "queue:": "where it waits",
    "tenant:": "whose it is",
    "error:": "text in its last error",
    "args.": "an argument, such as args.source_id",
    "age>": "created longer ago than",
    "waited>": "due for longer than",
    "ran>": "ran for longer than",
    "attempt>=": "tried so often",
    "finished<": "ended within the last",
    "group:": "a group of errors",
    "created<": "made within the last",
    "discarded<": "given up within the last",
    "run_at<": "due within the next",
    "id:": "this job",
    "about:": "the id of its source, delivery, email or tenant",
    "priority<": "a lower number goes first",
    "worker:": "the process that ran it last",
    "unique:": "its unique key",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The whole line as it would be, its last word, and what that means."""

    text: str
    meaning: str = ""
    word: str = ""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words of this database. Tenants, groups and `others`, the kinds or queues that only rows
    have, are asked for when they are needed.
    """

    kinds: Sequence[str]
    queues: Sequence[str]
    args: Sequence[str]
    tenants: Callable[[str], Sequence[tuple[str, str]]] = field(default=lambda _: ())
    groups: Callable[[], Sequence[tuple[str, str]]] = field(default=lambda: ())
    others: Callable[[str], Sequence[str]] = field(default=lambda _: ())


def suggest(line: str, known: Vocabulary) -> list[Suggestion]:
    """For the last word of the line; lines that it might become."""
    start = begin_of_word(line)
    sign = "-" if line[start : start + 1] == "-" else ""
    lead, word = line[:start] + sign, line[start + len(sign) :]
    found = complete(word, known)
    return [
        Suggestion(lead + text, meaning, sign + text) for text, meaning in found[:SUGGESTIONS_MAX]
    ]


def begin_of_word(line: str) -> int:
    """Where the last word begins; blanks in quotes end none."""
    start, quoted = 0, False
    for place, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif character.isspace() and not quoted:
            start = place + 1
    return start


def complete(word: str, known: Vocabulary) -> list[tuple[str, str]]:
    name, operator, typed = split(word)
    if not operator:
        return complete_name(word, known)
    done, _, last = typed.rpartition(",")
    head = f"{name}{operator}{done}{',' if done else ''}"
    return [(head + value, meaning) for value, meaning in values_of(name, last, known)]


def split(word: str) -> tuple[str, str, str]:
    """Name, operator and what is typed of the value; no operator while the name is typed."""
    for place, character in enumerate(word):
        if character in ":<>":
            wide = 2 if word[place + 1 : place + 2] == "=" and character != ":" else 1
            return word[:place], word[place : place + wide], word[place + wide :]
    return word, "", ""


def complete_name(word: str, known: Vocabulary) -> list[tuple[str, str]]:
    low = word.lower()
    if low.startswith("args."):
        paths = [f"args.{name}:" for name in known.args if name.startswith(word[5:])]
        return [(path, "an argument") for path in paths]
    fields = [(name, text) for name, text in MEANINGS.items() if name.startswith(low)]
    if not word:
        return fields
    states = [(f"state:{state}", "a state") for state in STATES if low in state]
    kinds = [(f"kind:{kind}", "a kind") for kind in known.kinds if low in kind]
    queues = [(f"queue:{queue}", "a queue") for queue in known.queues if low in queue]
    plain = [] if '"' in word else [(f"error:{quote(word)}", "in the text of the last error")]
    return [*fields, *states, *kinds, *queues, *plain]


def values_of(name: str, typed: str, known: Vocabulary) -> list[tuple[str, str]]:
    match name:
        case "kind":
            return named(typed, known.kinds, known.others("kind"))
        case "queue":
            return named(typed, known.queues, known.others("queue"))
        case "state":
            return containing(typed, STATES)
        case "tenant":
            return list(known.tenants(bare(typed)))
        case "group":
            return [(group, error) for group, error in known.groups() if group.startswith(typed)]
        case "error":
            return openings(typed, known.groups())
        case "attempt" | "priority":
            return [(number, "") for number in ("1", "2", "3", "5") if number.startswith(typed)]
    if FIELDS.get(name) in ("span", "time"):
        return [(span, "") for span in SPANS if span.startswith(typed)]
    return []


def containing(typed: str, words: Sequence[str]) -> list[tuple[str, str]]:
    """Those that begin with what is typed come first."""
    found = [word for word in words if typed in word]
    return [(word, "") for word in sorted(found, key=lambda word: not word.startswith(typed))]


def named(typed: str, names: Sequence[str], others: Sequence[str]) -> list[tuple[str, str]]:
    """Those of the code, then those that only rows have."""
    unknown = [name for name in others if name not in set(names)]
    found = [*containing(bare(typed), names), *containing(bare(typed), unknown)]
    return [(quote_name(name), "") for name, _ in found]


def bare(typed: str) -> str:
    """What is typed, without the quotes around it."""
    if not typed.startswith('"'):
        return typed
    return unescape(typed[1:].removesuffix('"'))


def openings(typed: str, groups: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """How recent errors begin, up to what differs from one to the next."""
    low = bare(typed).lower()
    begins = dict.fromkeys(opening(error) for _, error in groups)
    return [(quote(text), "a recent error") for text in begins if text and low in text.lower()]


def opening(error: str) -> str:
    """The first words, without figures and quotes."""
    for place, character in enumerate(error[:48]):
        if character.isdigit() or character in "\"'‹":
            return error[:place].rstrip()
    return error[:48].rpartition(" ")[0] or error[:48]
