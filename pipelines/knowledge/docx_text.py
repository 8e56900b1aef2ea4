"""The text of Word's paragraphs: insertions in, deletions and hidden text out."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lxml import etree

from pipelines.knowledge.docx_styles import PLAIN, Style
from pipelines.knowledge.office_package import read_flag
from pipelines.knowledge.office_xml import (
    choose_version,
    find_child,
    get_attribute,
    local_name,
)

# Deleted, moved away, instructions of fields, properties, readings of Asian characters.
_SKIPPED = frozenset(
    ("del", "moveFrom", "delText", "instrText", "delInstrText", "pPr", "rPr", "sdtPr", "rt", "tbl")
)
_SIGNS = {
    "tab": "\t",
    "ptab": "\t",
    "cr": "\n",
    "noBreakHyphen": "-",
}
_NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes"}


@dataclass(slots=True)
class Words:
    """A paragraph's text, and what it leads to: text boxes and the notes it refers to."""

    text: str = ""
    boxes: list[etree._Element] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


class TextReader:
    """Reads paragraphs; numbers the notes they refer to."""

    def __init__(self, styles: dict[str, Style]) -> None:
        self._styles = styles
        self._notes = 0

    def read(self, paragraph: etree._Element) -> Words:
        words, parts = Words(), list[str]()
        self._collect(paragraph, parts, words)
        lines = "".join(parts).split("\n")
        words.text = "\n".join(filter(None, (" ".join(line.split()) for line in lines)))
        return words

    def read_verbatim(self, paragraph: etree._Element) -> str:
        """The text with its white space, for code."""
        parts = list[str]()
        self._collect(paragraph, parts, Words())
        return "".join(parts).replace("\xa0", " ")

    def _collect(self, element: etree._Element, parts: list[str], words: Words) -> None:
        for child in element.iterchildren(etree.Element):
            name = local_name(child)
            if name == "t":
                parts.append(child.text or "")
            elif name == "r":
                if not self._is_hidden(child):
                    self._collect(child, parts, words)
            elif name in _SIGNS:
                parts.append(_SIGNS[name])
            elif name == "br":
                parts.append(
                    "\n" if get_attribute(child, "type") in (None, "textWrapping") else " "
                )
            elif name in _NOTES:
                self._refer(child, _NOTES[name], parts, words)
            elif name == "txbxContent":
                words.boxes.append(child)
            elif name == "AlternateContent":
                self._collect(choose_version(child), parts, words)
            elif name not in _SKIPPED:
                self._collect(child, parts, words)

    def _is_hidden(self, run: etree._Element) -> bool:
        properties = find_child(run, "rPr")
        if properties is None:
            return False
        own = find_child(properties, "vanish")
        if own is not None:
            return read_flag(own)
        style = find_child(properties, "rStyle")
        name = (get_attribute(style, "val") or "") if style is not None else ""
        return bool(name) and self._styles.get(name, PLAIN).is_hidden

    def _refer(self, reference: etree._Element, kind: str, parts: list[str], words: Words) -> None:
        self._notes += 1
        words.notes.append((kind, get_attribute(reference, "id") or ""))
        parts.append(f"[{self._notes}]")

    @property
    def notes(self) -> int:
        """How many notes were referred to so far."""
        return self._notes

    def rewind(self, notes: int) -> None:
        """Forget the notes behind this number: their paragraphs are read once more."""
        self._notes = notes


def iterate_content(elements: Iterable[etree._Element]) -> Iterable[etree._Element]:
    """Paragraphs and tables, also those in content controls; deleted and moved ones left out."""
    for element in elements:
        name = local_name(element)
        if name in ("p", "tbl"):
            yield element
        elif name == "AlternateContent":
            yield from iterate_content(choose_version(element))
        elif name == "sdt":
            content = find_child(element, "sdtContent")
            if content is not None and not _is_contents(element):
                yield from iterate_content(content)
        elif name in ("ins", "moveTo", "customXml", "smartTag"):
            yield from iterate_content(element)


def _is_contents(control: etree._Element) -> bool:
    gallery = find_child(control, "sdtPr", "docPartObj", "docPartGallery")
    return gallery is not None and get_attribute(gallery, "val") == "Table of Contents"
