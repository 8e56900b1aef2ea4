"""What the cells of an Excel file refer to: its shared texts and its number formats."""

from lxml import etree

from pipelines.errors import Permanent
from pipelines.knowledge.office_package import Package, check_chars
from pipelines.knowledge.office_xml import find_child, get_attribute, iterate_blocks, local_name
from pipelines.knowledge.xlsx_formats import Formatter, make_formatter, write_general

SHARED_TEXTS_MAX = 2_000_000
COLUMNS_MAX = 16_384

_LETTERS = {chr(ord("A") + n): n + 1 for n in range(26)}


class CellReader:
    """Reads cells as Excel shows them."""

    def __init__(self, package: Package, main: str, *, is_1904: bool) -> None:
        self._label = package.label
        self._texts = _read_shared_texts(package, main)
        self._formats = _read_formats(package, main, is_1904=is_1904)

    def read(self, cell: etree._Element) -> str:
        kind, value = cell.get("t"), ""
        for child in cell:
            name = local_name(child)
            if name == "v":
                value = child.text or ""
            elif name == "is":
                return " ".join(read_rich_text(child).split())
        if not value or kind == "e":
            return ""
        if kind == "s":
            return self._find_text(value)
        if kind == "b":
            return "TRUE" if value.strip() == "1" else "FALSE"
        if kind in ("str", "inlineStr", "d"):
            return " ".join(value.split())
        return self._write_number(value, cell.get("s"))

    def _find_text(self, value: str) -> str:
        try:
            return self._texts[int(value)]
        except (ValueError, IndexError) as error:
            raise Permanent(f"{self._label} is damaged: a text that a cell names is missing") from (
                error
            )

    def _write_number(self, value: str, style: str | None) -> str:
        try:
            number = float(value)
        except ValueError:
            return " ".join(value.split())
        formatter = self._formats.get(style or "0", write_general)
        return " ".join(formatter(number).split())


def find_column(reference: str | None) -> int | None:
    """1 for `A7`, 27 for `AA1`; None for what is no reference."""
    column = 0
    for letter in reference or "":
        if letter not in _LETTERS:
            break
        column = column * 26 + _LETTERS[letter]
        if column > COLUMNS_MAX:
            return None
    return column or None


def read_rich_text(element: etree._Element) -> str:
    """A text of several runs, without the readings of Asian characters."""
    parts = []
    for child in element:
        name = local_name(child)
        if name == "t":
            parts.append(child.text or "")
        elif name == "r":
            text = find_child(child, "t")
            parts.append((text.text or "") if text is not None else "")
    return "".join(parts)


def _read_shared_texts(package: Package, main: str) -> list[str]:
    part = package.find_related(main, "sharedStrings")
    if part is None:
        return []
    texts: list[str] = []
    chars = 0
    entries = iterate_blocks(
        package.iterate(part), tags=("si",), within=("sst",), label=package.label
    )
    for entry in entries:
        text = " ".join(read_rich_text(entry).split())
        chars += len(text)
        check_chars(chars, package.label)
        if len(texts) >= SHARED_TEXTS_MAX:
            raise Permanent(
                f"{package.label} holds more than {SHARED_TEXTS_MAX:,} texts (the limit)"
            )
        texts.append(text)
    return texts


def _read_formats(package: Package, main: str, *, is_1904: bool) -> dict[str, Formatter]:
    """A way to write numbers for each cell style that has one."""
    part = package.find_related(main, "styles")
    if part is None:
        return {}
    root = package.parse(part)
    codes = {
        get_attribute(entry, "numFmtId") or "": get_attribute(entry, "formatCode") or ""
        for entry in root.iterfind("{*}numFmts/{*}numFmt")
    }
    formats: dict[str, Formatter] = {}
    for number, style in enumerate(root.iterfind("{*}cellXfs/{*}xf")):
        name = get_attribute(style, "numFmtId") or "0"
        format_id = int(name) if name.isascii() and name.isdecimal() and len(name) < 9 else 0
        if format_id or name in codes:
            formats[str(number)] = make_formatter(
                codes.get(name, ""), format_id=format_id, is_1904=is_1904
            )
    return formats
