"""The filter language of jobs: a line of words says which jobs are meant, and is a Filter and back.

    kind:index_source state:discarded,retryable -tenant:<uuid> error:"rate limit" age>10m args.n:4

A space means and, a comma means or, a leading minus means not; `field:*` asks that there is one.
A kind or a queue in quotes is taken as it is: rows outlive the kinds that the code knows.
Values are text in one form each, so that a filter, its text and what that is read as are equal.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from workers.dashboard.filter_values import (
    STATES,
    BadValue,
    is_uuid,
    read_number,
    read_span,
    read_text,
    read_time,
    read_uuid,
)
from workers.jobs import KINDS, QUEUES

FILTER_CHARS_MAX = 2_000
TERMS_MAX = 20
VALUES_MAX = 50
PATH_PARTS_MAX = 8

Operator = Literal[":", "*", ">", ">=", "<", "<="]
Shape = Literal["word", "uuid", "group", "text", "args", "number", "span", "time"]

FIELDS: Mapping[str, Shape] = {
    "kind": "word",
    "queue": "word",
    "state": "word",
    "tenant": "uuid",
    "error": "text",
    "group": "group",
    "id": "number",
    "args": "args",
    "about": "text",
    "age": "span",
    "waited": "span",
    "ran": "span",
    "attempt": "number",
    "priority": "number",
    "created": "time",
    "run_at": "time",
    "finished": "time",
    "discarded": "time",
    "worker": "uuid",
    "unique": "text",
}
# What they may be by the code; in the rows there may be others.
NAMES: Mapping[str, Collection[str]] = {"kind": KINDS, "queue": QUEUES}
# What a job may lack, so that `field:*` says something.
OPTIONAL = frozenset({"tenant", "error", "group", "worker", "unique", "args"})
OPERATORS: Mapping[Shape, frozenset[str]] = {
    "number": frozenset({":", ">", ">=", "<", "<="}),
    "span": frozenset({">", ">=", "<", "<="}),
    "time": frozenset({":", ">", ">=", "<", "<="}),
}
HEAD = re.compile(r"([A-Za-z_]+)((?:\.(?:[\w-]+|\"(?:[^\"\\]|\\.)*\"))*)(:|>=|<=|>|<)")
PART = re.compile(r"\.(?:([\w-]+)|\"((?:[^\"\\]|\\.)*)\")")
PLAIN_PART = re.compile(r"[\w-]+")
GROUP = re.compile(r"[0-9a-f]{12}")


class Unreadable(ValueError):
    """What cannot be read, and where: `position` counts characters from 0."""

    def __init__(self, problem: str, *, position: int, word: str) -> None:
        super().__init__(f"At character {position + 1}: {problem}")
        self.position = position
        self.word = word


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. Any of `values` will do; `*` has none. `path` is where in args to look."""

    field: str
    operator: Operator
    values: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    negated: bool = False

    @property
    def name(self) -> str:
        """What stands before the operator: `args.source_id`."""
        return "".join([self.field, *("." + quote_part(part) for part in self.path)])

    @property
    def asked(self) -> str:
        """What stands behind the operator."""
        if self.operator == "*":
            return "*"
        write = quote_name if self.field in NAMES else quote
        return ",".join(map(write, self.values))

    def __str__(self) -> str:
        sign = "-" if self.negated else ""
        operator = ":" if self.operator == "*" else self.operator
        return f"{sign}{self.name}{operator}{self.asked}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Jobs to which all of the terms apply."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return " ".join(map(str, self.terms))

    def without(self, term: Term) -> "Filter":
        return Filter(tuple(each for each in self.terms if each != term))

    def in_state(self, state: str) -> "Filter":
        """The same jobs, in this state alone."""
        others = tuple(each for each in self.terms if each.field != "state")
        return Filter((Term("state", ":", (state,)), *others))

    def values(self, field: str) -> frozenset[str] | None:
        """Which values the terms leave possible; None where they ask for none in particular."""
        asked = [
            frozenset(term.values)
            for term in self.terms
            if term.field == field and term.operator == ":" and not term.negated
        ]
        return frozenset.intersection(*asked) if asked else None

    def states(self) -> frozenset[str]:
        """Which states the jobs may be in."""
        wanted = self.values("state")
        left = frozenset(STATES) if wanted is None else wanted
        for term in self.terms:
            if term.field == "state" and term.negated:
                left -= frozenset(term.values)
        return left


@dataclass(frozen=True, slots=True)
class Known:
    """The words that `kind` and `queue` understand without quotes."""

    kinds: Collection[str]
    queues: Collection[str]

    def words(self, field: str) -> Collection[str]:
        return {"kind": self.kinds, "queue": self.queues, "state": STATES}[field]


def parse(text: str, known: Known) -> Filter:
    """Raises Unreadable, which says where it is and what is known there."""
    if len(text) > FILTER_CHARS_MAX:
        problem = f"the filter has {len(text)} characters, at most {FILTER_CHARS_MAX} are read"
        raise Unreadable(problem, position=FILTER_CHARS_MAX, word="")
    for position, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            problem = "a character that no job can hold"
            raise Unreadable(problem, position=position, word=ascii(character))
    return Filter(tuple(dict.fromkeys(Reader(text, known).terms())))


class Reader:
    """Goes through the text once, from left to right."""

    def __init__(self, text: str, known: Known) -> None:
        self._text = text
        self._known = known
        self._at = 0

    def terms(self) -> list[Term]:
        found: list[Term] = []
        while self._skip_blanks():
            if len(found) == TERMS_MAX:
                raise self._unreadable(f"more than {TERMS_MAX} conditions")
            found.append(self._term())
        return found

    def _skip_blanks(self) -> bool:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at < len(self._text)

    def _term(self) -> Term:
        negated = self._text[self._at] == "-"
        self._at += negated
        head = HEAD.match(self._text, self._at)
        term = self._bare() if head is None else self._named(head)
        return replace(term, negated=negated)

    def _bare(self) -> Term:
        """A number is an id, a uuid is about something; other words are looked for in errors."""
        start = self._at
        quoted = self._text[start : start + 1] == '"'
        value = self._value(stops="" if quoted else None)
        self._end_of_term()
        if not value:
            raise self._unreadable("a condition is missing here", start)
        if not quoted and value.isascii() and value.isdigit():
            return Term("id", ":", (self._read("number", "id", value, start),))
        if not quoted and is_uuid(value):
            return Term("about", ":", (value.lower(),))
        return Term("error", ":", (self._read("text", "error", value, start),))

    def _named(self, head: re.Match[str]) -> Term:
        field, path, operator = head[1].lower(), head[2], head[3]
        start = self._at
        shape = FIELDS.get(field)
        if shape is None:
            raise self._unreadable(f"unknown field {field!r}, {nearest(field, FIELDS)}", start)
        if bool(path) != (shape == "args"):
            wanted = "args.<name>:value" if shape == "args" else f"{field}:value, without a dot"
            raise self._unreadable(f"write {wanted}", start)
        parts = tuple(plain or unescape(quoted) for plain, quoted in PART.findall(path))
        if len(parts) > PATH_PARTS_MAX:
            raise self._unreadable(f"at most {PATH_PARTS_MAX} names may follow args", start)
        allowed = OPERATORS.get(shape, frozenset({":"}))
        self._at = head.end()
        if operator == ":" and self._star():
            if field not in OPTIONAL:
                raise self._unreadable(f"every job has {field}; {field}:* says nothing", start)
            return Term(field, "*", path=parts)
        if operator not in allowed:
            takes = " ".join(sorted(allowed))
            raise self._unreadable(f"{field} takes {takes} and not {operator}", start)
        values = self._values(shape, field, operator)
        return Term(field, operator, values, parts)  # type: ignore[arg-type]

    def _star(self) -> bool:
        after = self._text[self._at + 1 : self._at + 2]
        found = self._text[self._at : self._at + 1] == "*" and (not after or after.isspace())
        self._at += found
        return found

    def _values(self, shape: Shape, field: str, operator: str) -> tuple[str, ...]:
        values: list[str] = []
        while True:
            start = self._at
            quoted = self._text[start : start + 1] == '"'
            value = self._value(stops=",")
            if not value and not (quoted and (shape == "args" or field in NAMES)):
                raise self._unreadable(f"{field} needs a value here", start)
            exact: Shape = "text" if quoted and field in NAMES else shape
            values.append(self._read(exact, field, value, start, operator))
            if self._text[self._at : self._at + 1] != ",":
                break
            self._at += 1
        self._end_of_term()
        if operator != ":" and len(values) > 1:
            raise self._unreadable(f"{field}{operator} takes one value", start)
        if len(values) > VALUES_MAX:
            raise self._unreadable(f"{field} takes at most {VALUES_MAX} values", start)
        return tuple(dict.fromkeys(values))

    def _value(self, *, stops: str | None) -> str:
        """A quoted text, or a run of characters up to a blank, a quote or what `stops`."""
        start = self._at
        if self._text[start : start + 1] == '"':
            return self._quoted(start)
        while self._at < len(self._text):
            character = self._text[self._at]
            if character.isspace() or (stops is not None and character in stops + '"'):
                break
            self._at += 1
        return self._text[start : self._at]

    def _quoted(self, start: int) -> str:
        end = start + 1
        while end < len(self._text) and self._text[end] != '"':
            end += 2 if self._text[end] == "\\" else 1
        if end >= len(self._text):
            raise self._unreadable('this " is never closed', start)
        self._at = end + 1
        return unescape(self._text[start + 1 : end])

    def _end_of_term(self) -> None:
        if self._at < len(self._text) and not self._text[self._at].isspace():
            raise self._unreadable("a blank must follow here; put values with quotes into quotes")

    def _read(self, shape: Shape, field: str, value: str, start: int, operator: str = ":") -> str:
        try:
            return self._typed(shape, field, value, operator)
        except BadValue as error:
            raise self._unreadable(f"{field}: {error}", start) from None

    def _typed(self, shape: Shape, field: str, value: str, operator: str) -> str:
        match shape:
            case "word":
                return read_word(value, self._known.words(field), field)
            case "uuid":
                return read_uuid(value)
            case "group":
                if not GROUP.fullmatch(value):
                    raise BadValue("a group has twelve characters from 0 to 9 and a to f")
                return value
            case "number":
                return read_number(value, field)
            case "span":
                return read_span(value)
            case "time":
                return read_time(value, day_only=operator == ":")
            case _:
                return read_text(value)

    def _unreadable(self, problem: str, position: int | None = None) -> Unreadable:
        place = self._at if position is None else position
        word = (self._text[place:].split(None, 1) or [""])[0]
        return Unreadable(problem, position=place, word=word[:80])


def read_word(value: str, words: Collection[str], field: str) -> str:
    if value not in words:
        raise BadValue(
            f"there is no {field} {value[:80]!r}, {nearest(value, words)}{anyhow(field)}"
        )
    return value


def anyhow(field: str) -> str:
    return "; in quotes it is looked for all the same" if field in NAMES else ""


def nearest(word: str, words: Collection[str]) -> str:
    """What may have been meant, or all there is."""
    close = get_close_matches(word[:80], words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(list(words)[:30])}"


def quote(value: str) -> str:
    """As it stands in a filter's text: in quotes where it would be read otherwise."""
    simple = value and value != "*" and not any(c.isspace() or c in ',"' for c in value)
    return value if simple else '"' + escape(value) + '"'


def quote_name(value: str) -> str:
    """In quotes where not every database knows it."""
    return value if value in NAMES["kind"] or value in NAMES["queue"] else f'"{escape(value)}"'


def quote_part(part: str) -> str:
    return part if PLAIN_PART.fullmatch(part) else '"' + escape(part) + '"'


def escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def unescape(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
