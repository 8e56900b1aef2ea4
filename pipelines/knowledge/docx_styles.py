"""What a Word file's styles make of its paragraphs: headings, lists, code, captions."""

import re
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from pipelines.knowledge.office_package import Package, read_flag
from pipelines.knowledge.office_xml import find_child, get_attribute

Role = Literal["heading", "title", "caption", "code", "contents", "text"]

BASES_MAX = 20
LEVELS = 9

# Word names its own styles in English in every language; other programs translate them.
_HEADING = re.compile(
    r"(?:heading|überschrift|titre|título|titulo|titolo|encabezado|заголовок|nagłówek|nadpis|rubrik"
    r"|kop|overskrift|otsikko|başlık|cím|titlu|επικεφαλίδα|כותרת|عنوان|見出し|标题|標題|제목)"
    r"\s*([1-9])",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?:source ?)?code\b.*|html preformatted|preformatted.*|macro text|quellcode")
_CAPTION = re.compile(r"caption|beschriftung|légende|figure|table caption|図表番号|题注")
_CONTENTS = re.compile(r"toc \d|toc heading|table of figures|table of authorities|index \d")


@dataclass(frozen=True, slots=True)
class Numbering:
    """`list_id` 0 takes a paragraph out of every list."""

    list_id: str
    level: int


@dataclass(frozen=True, slots=True)
class Style:
    role: Role = "text"
    level: int = 0
    numbering: Numbering | None = None
    is_hidden: bool = False


PLAIN = Style()


def read_styles(package: Package, main: str) -> dict[str, Style]:
    """The styles by their ids; the default paragraph style also by the empty id."""
    part = package.find_related(main, "styles")
    if part is None:
        return {}
    elements = {
        get_attribute(style, "styleId") or "": style
        for style in package.parse(part).iterchildren("{*}style")
    }
    styles = {name: _resolve(name, elements) for name in elements}
    for name, element in elements.items():
        is_default = get_attribute(element, "default") in ("1", "true", "on")
        if is_default and get_attribute(element, "type") == "paragraph":
            styles[""] = styles[name]
    return styles


def read_numbering_of(properties: etree._Element | None) -> Numbering | None:
    """The list that paragraph properties name."""
    numbers = find_child(properties, "numPr") if properties is not None else None
    if numbers is None:
        return None
    list_id, level = find_child(numbers, "numId"), find_child(numbers, "ilvl")
    if list_id is None:
        return None
    return Numbering(get_attribute(list_id, "val") or "0", _read_level(level))


def read_outline_level(properties: etree._Element | None) -> int | None:
    """1 to 9; 0 says that the paragraph is body text, None that nothing is said."""
    outline = find_child(properties, "outlineLvl") if properties is not None else None
    if outline is None:
        return None
    level = _read_level(outline) + 1
    return level if level <= LEVELS else 0


def _read_level(element: etree._Element | None) -> int:
    value = (get_attribute(element, "val") or "0") if element is not None else "0"
    return min(int(value), LEVELS) if value.isascii() and value.isdecimal() else 0


def _resolve(name: str, elements: dict[str, etree._Element]) -> Style:
    """A style with what it inherits; a circle of styles ends after BASES_MAX steps."""
    chain = []
    for _ in range(BASES_MAX):
        if name not in elements:
            break
        chain.append(elements[name])
        base = find_child(elements[name], "basedOn")
        name = (get_attribute(base, "val") or "") if base is not None else ""
    role, level = next(filter(None, map(_find_role, chain)), ("text", 0))
    properties = [find_child(style, "pPr") for style in chain]
    numbering = next(filter(None, map(read_numbering_of, properties)), None)
    hiding = (find_child(style, "rPr", "vanish") for style in chain)
    is_hidden = read_flag(next((flag for flag in hiding if flag is not None), None))
    return Style(role, level, numbering, is_hidden)


def _find_role(style: etree._Element) -> tuple[Role, int] | None:
    """What the style itself says, None where its base decides."""
    element = find_child(style, "name")
    name = (get_attribute(element, "val") or "").strip().lower() if element is not None else ""
    if name in ("title", "titel", "titre", "título"):
        return "title", 1
    roles: tuple[tuple[re.Pattern[str], Role], ...] = (
        (_CONTENTS, "contents"),
        (_CAPTION, "caption"),
        (_CODE, "code"),
    )
    for pattern, role in roles:
        if pattern.fullmatch(name):
            return role, 0
    level = read_outline_level(find_child(style, "pPr"))
    if level is not None:
        return ("heading", level) if level else ("text", 0)
    heading = _HEADING.fullmatch(name)
    return ("heading", int(heading[1])) if heading else None
