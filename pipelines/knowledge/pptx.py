"""PPTX -> a document: each visible slide a section of its texts, tables, charts and notes."""

from collections.abc import Iterator
from dataclasses import replace

from lxml import etree

from pipelines.errors import Permanent
from pipelines.knowledge.blocks import HEADING_CHARS_MAX, DocumentWriter
from pipelines.knowledge.document import Document
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.office_package import Package, Relation, check_chars
from pipelines.knowledge.office_xml import find_child
from pipelines.knowledge.pptx_chart import read_chart
from pipelines.knowledge.pptx_shapes import Shape, find_placeholder, iterate_shapes, read_text
from pipelines.knowledge.raw import Raw
from pipelines.knowledge.table import write_rows

LABEL = "the PowerPoint file"
MIME = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
SLIDES_MAX = 3_000


def read(raw: Raw) -> Document:
    """Read a presentation; raises Permanent when it is damaged, locked or too large."""
    package = Package(raw.body, label=LABEL)
    slides = list(_find_slides(package))
    if len(slides) > SLIDES_MAX:
        raise Permanent(f"{LABEL} has {len(slides):,} slides, the limit is {SLIDES_MAX:,}")
    reading = _Reading(package)
    for number, part in enumerate(slides, start=1):
        reading.add_slide(part, number)
    document = reading.writer.finish(mime=MIME)
    language = choose_language(document.text, declared=None)
    title = package.find_title() or _find_title(document)
    return replace(document, title=title, language=language)


def _find_slides(package: Package) -> Iterator[str]:
    """The slides in the order in which they are shown."""
    main = package.find_main()
    relations = package.find_relations(main)
    for slide in package.parse(main).iterfind("{*}sldIdLst/{*}sldId"):
        keys = (value for key, value in slide.attrib.items() if key.endswith("}id"))
        relation = relations.get(str(next(keys, "")))
        if relation and relation.kind == "slide":
            yield relation.part


def _find_title(document: Document) -> str | None:
    headings = (block.heading_path[-1] for block in document.blocks if block.kind == "heading")
    return next(headings, None)


class _Reading:
    """Writes slides one after the other."""

    def __init__(self, package: Package) -> None:
        self.writer = DocumentWriter()
        self._package = package
        self._chars = 0

    def add_slide(self, part: str, number: int) -> None:
        root = self._package.parse(part)
        if root.get("show") in ("0", "false"):
            return
        relations = self._package.find_relations(part)
        tree = find_child(root, "cSld", "spTree")
        shapes = list(iterate_shapes(tree)) if tree is not None else []
        self._open(shapes, number)
        for shape in shapes:
            self._add_shape(shape, relations)
        self._add_notes(relations)

    def _open(self, shapes: list[Shape], number: int) -> None:
        """Begin the slide's section: by its title, else by its number, which is not its text."""
        titles = (shape for shape in shapes if shape.kind == "title" and shape.text)
        title = next(titles, None)
        if title is None or len(title.text) > HEADING_CHARS_MAX:
            self.writer.enter_section(f"Slide {number}", level=1)
            return
        shapes.remove(title)
        self._count(title.text)
        self.writer.add_heading(title.text, level=1)

    def _add_shape(self, shape: Shape, relations: dict[str, Relation]) -> None:
        if shape.kind == "table":
            self._add_table(shape.rows, header_rows=shape.header_rows)
        elif shape.kind in ("chart", "diagram"):
            relation = relations.get(shape.relation)
            if relation and self._package.archive.holds(relation.part):
                self._add_drawn(shape, self._package.parse(relation.part))
        else:
            self._count(shape.text)
            self.writer.add("list" if shape.kind == "list" else "paragraph", shape.text)

    def _add_drawn(self, shape: Shape, root: etree._Element) -> None:
        """A chart by its title and figures, a diagram by the texts in it."""
        if shape.kind == "chart":
            title, rows = read_chart(root)
            self.writer.add("caption", title)
            self._add_table(rows, header_rows=1)
            return
        bodies = (body for body in root.iter("{*}t") if body.find("{*}p") is not None)
        lines = [f"- {text}" for body in bodies for _, text, _ in read_text(body)]
        self._count("\n".join(lines))
        self.writer.add("list", "\n".join(lines))

    def _add_table(self, rows: list[list[str]], *, header_rows: int) -> None:
        written = write_rows(rows, header_rows=header_rows)
        if written:
            self._count(written.text)
            self.writer.add("table", written.text, header_chars=written.header_chars)

    def _add_notes(self, relations: dict[str, Relation]) -> None:
        parts = (item.part for item in relations.values() if item.kind == "notesSlide")
        part = next(parts, None)
        if part is None or not self._package.archive.holds(part):
            return
        for shape in self._package.parse(part).iter("{*}sp"):
            body = find_child(shape, "txBody")
            if find_placeholder(shape) == "body" and body is not None:
                for _, text, _ in read_text(body):
                    self._count(text)
                    self.writer.add("paragraph", text)

    def _count(self, text: str) -> None:
        self._chars += len(text)
        check_chars(self._chars, LABEL)
