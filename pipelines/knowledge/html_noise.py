"""What an element's own tag and attributes say of it: unseen, or furniture of the site."""

import re
from enum import Enum
from functools import lru_cache
from itertools import islice

from lxml import etree
from lxml.html import HtmlElement

from pipelines.knowledge.html_words import (
    BUTTON_WORDS,
    CHROME_WORDS,
    FURNITURE_NAMES,
    HIDING_CLASSES,
    LINE_NUMBER_WORDS,
    LINKED_CHROME_WORDS,
    NAVIGATION_ROLES,
    NAVIGATION_TAGS,
    NEVER_OPENED_WORDS,
    ROOT_TAGS,
    UNSEEN_TAGS,
)

# A button that opens a panel is a title (a question, a tab) when it says at least this much:
# in bytes, for four Chinese characters say as much as twelve letters.
OPENER_BYTES_MIN = 12
OPENER_NODES_MAX = 8
CALL_TO_ACTION_CHARS_MAX = 40
NODES_MAX = 40
TEXT_CHARS_MAX = 400

_NAME_WORD = re.compile(r"[a-z]+|[A-Z]+[a-z]*|[0-9]+")
_HIDING_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
# `hidden md:block` and `d-none d-lg-flex` hide on small screens alone.
_SHOWN_AGAIN = re.compile(
    r":(?:block|flex|grid|inline|table|contents)\b|\bd-\w+-(?:block|flex|grid|inline|table)"
)
_SKIP_LINK = re.compile(r"\s*(?:skip|jump)\s+to\b", re.IGNORECASE)
_ACTION_ADDRESS = re.compile(
    r"/(?:edit|reply|flag|report)(?:[/?#]|$)|[?&](?:action|mode|do)=(?:edit|reply|quote|report)"
)
_NOTE_SIGN = re.compile(r"\s*\[?\s*(?:\d{1,3}|[a-z*†‡])\s*\]?\s*")


class Chrome(Enum):
    """How surely an element is furniture: navigation, footer, banner, sharing, advertising."""

    NAMED = "its tag or role says so"
    WORDED = "a word of its class or id says so"
    LINKED = "a word of its class or id says so, where it is mostly links; or it is all links"


def find_chrome(element: HtmlElement) -> Chrome | None:
    tag, attributes = element.tag, element.attrib
    if tag in NAVIGATION_TAGS or attributes.get("role") in NAVIGATION_ROLES:
        return Chrome.NAMED
    if tag in ROOT_TAGS:
        return None
    named = _judge_names(attributes.get("class", ""), attributes.get("id", ""))
    return named or (Chrome.LINKED if tag in ("aside", "header") else None)


@lru_cache(maxsize=4096)
def _judge_names(classes: str, element_id: str) -> Chrome | None:
    names = f"{classes} {element_id}".split()
    words = find_words(f"{classes} {element_id}").union(map(_squeeze, names))
    if not words.isdisjoint(CHROME_WORDS) or not FURNITURE_NAMES.isdisjoint(names):
        return Chrome.WORDED
    return None if words.isdisjoint(LINKED_CHROME_WORDS) else Chrome.LINKED


def _squeeze(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()


@lru_cache(maxsize=4096)
def find_words(names: str) -> frozenset[str]:
    """The lower-case words that class names and ids are made of."""
    return frozenset(word.lower() for word in _NAME_WORD.findall(names))


def is_unseen(element: HtmlElement, opened_ids: frozenset[str] = frozenset()) -> bool:
    """Tell whether a reader never sees the element.

    `opened_ids` name the panels that a control of the page opens (answers, tabs): closed at
    first, they are content all the same.
    """
    tag, attributes = element.tag, element.attrib
    if not isinstance(tag, str) or tag in UNSEEN_TAGS:
        return True
    if not attributes or tag in ROOT_TAGS or not _is_hidden(element):
        return False
    is_panel = attributes.get("id") in opened_ids or attributes.get("role") == "tabpanel"
    is_panel = is_panel or tag in ("del", "ins") or _follows_opener(element)
    is_panel = is_panel or element.find("math") is not None
    names = f"{attributes.get('class', '')} {attributes.get('role', '')}"
    return not is_panel or not find_words(names).isdisjoint(NEVER_OPENED_WORDS)


def is_opener(element: HtmlElement) -> bool:
    """Tell whether a control opens a panel and is its title: a question, say, or a tab."""
    if "aria-expanded" not in element.attrib:
        return False
    text = text_of(element)
    return len(text.encode()) >= OPENER_BYTES_MIN and any(map(str.isalpha, text))


def _follows_opener(element: HtmlElement) -> bool:
    """Tell whether the element stands behind the control that opens it, or behind its heading."""
    before = element.getprevious()
    if before is None or not isinstance(before.tag, str):
        return False
    return any(is_opener(one) for one in islice(before.iter(etree.Element), OPENER_NODES_MAX))


def _is_hidden(element: HtmlElement) -> bool:
    attributes = element.attrib
    if "hidden" in attributes or attributes.get("aria-hidden") == "true":
        return True
    if _HIDING_STYLE.search(attributes.get("style", "")):
        return True
    return _has_hiding_class(attributes.get("class", ""))


@lru_cache(maxsize=4096)
def _has_hiding_class(classes: str) -> bool:
    is_hiding = not HIDING_CLASSES.isdisjoint(classes.lower().split())
    return is_hiding and not _SHOWN_AGAIN.search(classes)


def is_idle_control(element: HtmlElement, *, in_heading: bool) -> bool:
    """Tell whether a button or label says nothing a reader would look for."""
    text = text_of(element)
    if in_heading:
        parent = element.getparent()
        around = len(text_of(parent)) if parent is not None else 0
        return element.tag == "button" and 2 * len(text) < around
    return not is_opener(element)


def is_aid(element: HtmlElement, *, in_heading: bool) -> bool:
    """Tell whether a link or raised sign only helps to get around: ¶, [1], "Skip to content"."""
    text = text_of(element)
    if element.tag == "sup":
        return _NOTE_SIGN.fullmatch(text) is not None and element.find(".//a") is not None
    is_sign = not any(character.isalnum() for character in text)
    is_jump = element.get("href", "").startswith("#")
    return (is_sign and (in_heading or is_jump)) or (is_jump and _SKIP_LINK.match(text) is not None)


def is_call_to_action(element: HtmlElement, text: str) -> bool:
    """Tell "Get started" on a button from a telephone number or address on one."""
    if "aria-expanded" in element.attrib or "aria-controls" in element.attrib:
        return False
    if len(text) > CALL_TO_ACTION_CHARS_MAX or "@" in text or any(c.isdigit() for c in text):
        return False
    if element.tag == "a" and _ACTION_ADDRESS.search(element.get("href", "")):
        return True
    words = find_words(element.get("class", ""))
    return element.get("role") == "button" or not words.isdisjoint(BUTTON_WORDS)


def is_line_number(element: HtmlElement) -> bool:
    words = find_words(element.get("class", "").replace("-", ""))
    return not words.isdisjoint(LINE_NUMBER_WORDS) and not any(map(str.isalpha, text_of(element)))


def text_of(element: HtmlElement) -> str:
    """The beginning of an element's text: enough to judge it by."""
    parts = [element.text or ""]
    for child in islice(element.iterdescendants(), NODES_MAX):
        parts += [child.text or "", child.tail or ""]
    return "".join(parts).strip()[:TEXT_CHARS_MAX]


def find_opened_ids(root: HtmlElement) -> frozenset[str]:
    """The ids of the panels that the page's own controls open."""
    ids: set[str] = set()
    for control in root.iter("button", "a", "div", "span", "li", "h2", "h3", "h4", "summary"):
        for name in ("aria-controls", "data-target", "data-bs-target"):
            ids.update(value.lstrip("#") for value in control.get(name, "").split())
        if control.get("role") == "tab" or "data-toggle" in control.attrib:
            ids.add(control.get("href", "").lstrip("#"))
    return frozenset(ids - {""})
