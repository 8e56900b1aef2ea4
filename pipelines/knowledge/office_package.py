"""The parts of an Office file (DOCX, PPTX, XLSX) and how they refer to each other."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from lxml import etree

from pipelines.errors import Permanent
from pipelines.knowledge.archive import Archive
from pipelines.knowledge.office_xml import get_attribute, parse_xml

PART_BYTES_MAX = 20_000_000
RELATIONS_MAX = 100_000
TEXT_CHARS_MAX = 20_000_000
TITLE_CHARS_MAX = 300


@dataclass(frozen=True, slots=True)
class Relation:
    """`kind` is the last word of the relation's type: `slide`, `footnotes`, `hyperlink`."""

    kind: str
    part: str


class Package:
    """An Office file by its parts. Relations to the outside are left out: nothing fetches them."""

    def __init__(self, body: bytes, *, label: str) -> None:
        self.label = label
        self.archive = Archive(body, label=label)

    def find_main(self) -> str:
        """The part that the file is about; raises Permanent when the file names none."""
        relations = self.find_relations("").values()
        for relation in relations:
            if relation.kind == "officeDocument" and self.archive.holds(relation.part):
                return relation.part
        raise Permanent(f"{self.label} is damaged: it names no main part")

    def find_relations(self, part: str) -> dict[str, Relation]:
        """A part's relations inside the file, by their ids."""
        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        if not self.archive.holds(path):
            return {}
        relations: dict[str, Relation] = {}
        for element in self.parse(path).iterchildren("{*}Relationship"):
            if element.get("TargetMode", "").lower() == "external":
                continue
            if len(relations) >= RELATIONS_MAX:
                raise Permanent(f"{self.label} has more than {RELATIONS_MAX:,} relations (limit)")
            kind = element.get("Type", "").rpartition("/")[2]
            target = resolve(folder, element.get("Target", ""))
            relations[element.get("Id", "")] = Relation(kind, target)
        return relations

    def find_related(self, part: str, kind: str) -> str | None:
        """The first part of a kind that a part refers to, if the file holds it."""
        parts = (r.part for r in self.find_relations(part).values() if r.kind == kind)
        return next((part for part in parts if self.archive.holds(part)), None)

    def parse(self, part: str) -> etree._Element:
        return parse_xml(self.archive.read(part, bytes_max=PART_BYTES_MAX), label=self.label)

    def iterate(self, part: str) -> Iterator[bytes]:
        return self.archive.iterate(part)

    def find_title(self) -> str | None:
        """The title in the file's properties, None where it is empty or only a file's name."""
        part = self.find_related("", "core-properties")
        if part is None:
            return None
        title = next(self.parse(part).iterchildren("{*}title"), None)
        text = " ".join("".join(title.itertext()).split()) if title is not None else ""
        return text[:TITLE_CHARS_MAX] if is_title(text) else None


def resolve(folder: str, target: str) -> str:
    """A part's name from a target relative to a folder; leading dots go no higher than the top."""
    path = unquote(target.partition("#")[0])
    joined = path if path.startswith("/") else posixpath.join("/", folder, path)
    return posixpath.normpath(joined).lstrip("/")


def is_title(text: str) -> bool:
    """Tell a title from what programs write in its place."""
    name = text.lower()
    is_default = name in {"powerpoint presentation", "word document", "document", "presentation"}
    is_file = name.endswith((".doc", ".docx", ".ppt", ".pptx", ".xls", ".xlsx", ".dotx", ".odt"))
    is_working = name.startswith(("microsoft word - ", "microsoft powerpoint - ", "untitled"))
    return bool(name) and not is_default and not is_file and not is_working


def check_chars(chars: int, label: str) -> None:
    if chars > TEXT_CHARS_MAX:
        raise Permanent(
            f"{label} is too long: it holds more than {TEXT_CHARS_MAX:,} characters (the limit)"
        )


def read_flag(element: etree._Element | None, *, attribute: str = "val") -> bool:
    """A switch such as `<w:b/>`: on unless it says that it is off."""
    if element is None:
        return False
    value = get_attribute(element, attribute)
    return value is None or value.lower() not in ("0", "false", "off", "none")
