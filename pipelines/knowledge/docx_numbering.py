"""The numbers and bullets that Word shows before paragraphs and does not store with them."""

import re
from dataclasses import dataclass, field

from lxml import etree

from pipelines.knowledge.docx_styles import LEVELS, Numbering
from pipelines.knowledge.office_package import Package
from pipelines.knowledge.office_xml import find_child, get_attribute

BULLET = "-"
NUMBER_MAX = 100_000

_PLACE = re.compile(r"%([1-9])")
_ROMAN = (
    *((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l")),
    *((40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)


@dataclass(frozen=True, slots=True)
class Level:
    form: str = "bullet"
    text: str = ""
    start: int = 1


@dataclass(slots=True)
class Lists:
    """Counts the items of all lists while the document is read from top to bottom.

    `kinds` leads from a list to the kind it is of: lists of one kind go on counting together.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    levels: dict[str, dict[int, Level]] = field(default_factory=dict)
    restarts: dict[tuple[str, int], int] = field(default_factory=dict)
    _counts: dict[str, list[int]] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)

    def count(self, numbering: Numbering) -> str | None:
        """Count an item; its marker, None for a list that the file does not define."""
        kind = self.kinds.get(numbering.list_id)
        if kind is None:
            return None
        levels = self.levels.get(kind, {})
        depth = min(numbering.level, LEVELS - 1)
        counts = self._counts.setdefault(kind, [0] * LEVELS)
        self._restart(numbering.list_id, counts)
        for above in range(depth):
            counts[above] = counts[above] or levels.get(above, Level()).start
        start = levels.get(depth, Level()).start
        counts[depth] = min(counts[depth] + 1, NUMBER_MAX) if counts[depth] else max(start, 1)
        counts[depth + 1 :] = [0] * (LEVELS - depth - 1)
        return _write_marker(levels, depth, counts)

    def _restart(self, list_id: str, counts: list[int]) -> None:
        if list_id in self._begun:
            return
        self._begun.add(list_id)
        for (owner, level), start in self.restarts.items():
            if owner == list_id and level < LEVELS:
                counts[level] = max(start - 1, 0)


def read_lists(package: Package, main: str) -> Lists:
    part = package.find_related(main, "numbering")
    lists = Lists()
    if part is None:
        return lists
    root = package.parse(part)
    for kind in root.iterchildren("{*}abstractNum"):
        name = get_attribute(kind, "abstractNumId") or ""
        lists.levels[name] = {
            _read_int(level, "ilvl"): _read_level(level) for level in kind.iterchildren("{*}lvl")
        }
    for entry in root.iterchildren("{*}num"):
        list_id = get_attribute(entry, "numId") or ""
        kind_of = find_child(entry, "abstractNumId")
        if kind_of is not None and list_id != "0":
            lists.kinds[list_id] = get_attribute(kind_of, "val") or ""
        for override in entry.iterchildren("{*}lvlOverride"):
            start = find_child(override, "startOverride")
            if start is not None:
                place = (list_id, _read_int(override, "ilvl"))
                lists.restarts[place] = _read_int(start, "val")
    return lists


def _read_level(level: etree._Element) -> Level:
    form, text = find_child(level, "numFmt"), find_child(level, "lvlText")
    start = find_child(level, "start")
    return Level(
        (get_attribute(form, "val") or "decimal") if form is not None else "decimal",
        (get_attribute(text, "val") or "") if text is not None else "",
        _read_int(start, "val") if start is not None else 1,
    )


def _read_int(element: etree._Element, name: str) -> int:
    value = get_attribute(element, name) or ""
    return min(int(value), NUMBER_MAX) if value.isascii() and value.isdecimal() else 0


def _write_marker(levels: dict[int, Level], depth: int, counts: list[int]) -> str:
    level = levels.get(depth, Level())
    if level.form in ("bullet", "none") or not _PLACE.search(level.text):
        return BULLET
    return _PLACE.sub(
        lambda place: _write_number(
            counts[int(place[1]) - 1], levels.get(int(place[1]) - 1, level).form
        ),
        level.text,
    ).strip()


def _write_number(number: int, form: str) -> str:
    if form == "decimalZero":
        return f"{number:02}"
    if form in ("lowerLetter", "upperLetter") and number:
        letters = chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, 10)
        return letters.upper() if form == "upperLetter" else letters
    if form in ("lowerRoman", "upperRoman") and 0 < number < 4000:
        roman = _write_roman(number)
        return roman.upper() if form == "upperRoman" else roman
    return str(number)


def _write_roman(number: int) -> str:
    letters = []
    for value, letter in _ROMAN:
        letters.append(letter * (number // value))
        number %= value
    return "".join(letters)
