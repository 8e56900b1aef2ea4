"""Small Office files and books, written by hand, for the tests of extraction."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE_LINKS = "http://schemas.openxmlformats.org/package/2006/relationships"
CORE = "http://schemas.openxmlformats.org/package/2006/metadata/core-properties"
COMPATIBLE = "http://schemas.openxmlformats.org/markup-compatibility/2006"
CORE_LINK = f"{PACKAGE_LINKS}/metadata/core-properties"

TYPES = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml",
    "docm": "application/vnd.ms-word.document.macroEnabled.main+xml",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml",
    "xlsm": "application/vnd.ms-excel.sheet.macroEnabled.main+xml",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml",
}
HEADING_STYLES = "".join(
    f'<w:style w:type="paragraph" w:styleId="H{level}"><w:name w:val="heading {level}"/></w:style>'
    for level in range(1, 10)
)

Parts = Mapping[str, str | bytes]


def pack(parts: Parts, *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of these parts; the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            archive.writestr(entry, content)
    return buffer.getvalue()


def make_docx(
    body: str, *, styles: str = HEADING_STYLES, title: str = "", parts: Parts | None = None
) -> bytes:
    """A Word file with this XML as its body; `parts` may hold numbering, notes and others."""
    return pack(docx_parts(body, styles=styles, title=title, parts=parts))


def docx_parts(
    body: str,
    *,
    styles: str = HEADING_STYLES,
    title: str = "",
    parts: Parts | None = None,
    kind: str = "docx",
) -> dict[str, str | bytes]:
    names = ("styles", "numbering", "footnotes", "endnotes", "header")
    targets = {name: f"{name}.xml" for name in names}
    return {
        "[Content_Types].xml": _types("/word/document.xml", TYPES[kind]),
        "_rels/.rels": _relations({"officeDocument": "word/document.xml"}, core=bool(title)),
        "word/_rels/document.xml.rels": _relations(targets),
        "word/document.xml": _word("document", f"<w:body>{body}</w:body>"),
        "word/styles.xml": _word("styles", styles),
        **({"docProps/core.xml": _core(title)} if title else {}),
        **(parts or {}),
    }


def word_part(tag: str, content: str) -> str:
    return _word(tag, content)


def paragraph(text: str, *, style: str = "", properties: str = "") -> str:
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return (
        f"<w:p><w:pPr>{named}{properties}</w:pPr>"
        f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'
    )


def table(*rows: Sequence[str], properties: str = "") -> str:
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{properties}" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


def make_xlsx(
    sheets: Mapping[str, str],
    *,
    hidden: Sequence[str] = (),
    texts: Sequence[str] = (),
    styles: str = "",
    settings: str = "",
    parts: Parts | None = None,
    kind: str = "xlsx",
) -> bytes:
    """An Excel file; each sheet is the XML of its rows, or the whole content after `<!>`."""
    return pack(
        xlsx_parts(
            sheets,
            hidden=hidden,
            texts=texts,
            styles=styles,
            settings=settings,
            parts=parts,
            kind=kind,
        )
    )


def xlsx_parts(
    sheets: Mapping[str, str],
    *,
    hidden: Sequence[str] = (),
    texts: Sequence[str] = (),
    styles: str = "",
    settings: str = "",
    parts: Parts | None = None,
    kind: str = "xlsx",
) -> dict[str, str | bytes]:
    entries = "".join(
        f'<sheet name="{escape(name)}" sheetId="{number}" r:id="s{number}"'
        f"{' state=' + chr(34) + 'hidden' + chr(34) if name in hidden else ''}/>"
        for number, name in enumerate(sheets, start=1)
    )
    links = "".join(
        f'<Relationship Id="s{number}" Type="{LINKS}/worksheet" Target="sheet{number}.xml"/>'
        for number in range(1, len(sheets) + 1)
    )
    shared = "".join(f"<si><t>{escape(text)}</t></si>" for text in texts)
    contents = {
        f"xl/sheet{number}.xml": _sheet(rows) for number, rows in enumerate(sheets.values(), 1)
    }
    return {
        "[Content_Types].xml": _types("/xl/workbook.xml", TYPES[kind]),
        "_rels/.rels": _relations({"officeDocument": "xl/workbook.xml"}),
        "xl/_rels/workbook.xml.rels": _relations(
            {"sharedStrings": "texts.xml", "styles": "styles.xml"}, more=links
        ),
        "xl/workbook.xml": f'<workbook xmlns="{SHEET}" xmlns:r="{LINKS}">{settings}'
        f"<sheets>{entries}</sheets></workbook>",
        "xl/texts.xml": f'<sst xmlns="{SHEET}">{shared}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{SHEET}">{styles}</styleSheet>',
        **contents,
        **(parts or {}),
    }


def row(number: int, *cells: str | float | None) -> str:
    """A row of texts and numbers from column A; None leaves a cell out."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    written = []
    for letter, value in zip(letters, cells, strict=False):
        if isinstance(value, str):
            text = f"<is><t>{escape(value)}</t></is>"
            written.append(f'<c r="{letter}{number}" t="inlineStr">{text}</c>')
        elif value is not None:
            written.append(f'<c r="{letter}{number}"><v>{value}</v></c>')
    return f'<row r="{number}">{"".join(written)}</row>'


def make_pptx(*slides: str, parts: Parts | None = None, order: Sequence[int] = ()) -> bytes:
    """A presentation; each slide is the XML of its shapes, shown in `order` where it is given."""
    return pack(pptx_parts(*slides, parts=parts, order=order))


def pptx_parts(
    *slides: str, parts: Parts | None = None, order: Sequence[int] = ()
) -> dict[str, str | bytes]:
    numbers = order or range(1, len(slides) + 1)
    ids = "".join(f'<p:sldId id="{255 + n}" r:id="r{n}"/>' for n in numbers)
    links = "".join(
        f'<Relationship Id="r{n}" Type="{LINKS}/slide" Target="slides/slide{n}.xml"/>'
        for n in numbers
    )
    contents = {
        f"ppt/slides/slide{number}.xml": make_slide(shapes)
        for number, shapes in enumerate(slides, start=1)
    }
    return {
        "[Content_Types].xml": _types("/ppt/presentation.xml", TYPES["pptx"]),
        "_rels/.rels": _relations({"officeDocument": "ppt/presentation.xml"}),
        "ppt/_rels/presentation.xml.rels": _relations({}, more=links),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{SLIDES}" xmlns:r="{LINKS}">'
        f"<p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        **contents,
        **(parts or {}),
    }


def make_slide(shapes: str, *, attributes: str = "") -> str:
    return (
        f'<p:sld xmlns:p="{SLIDES}" xmlns:a="{DRAWING}" xmlns:r="{LINKS}" {attributes}>'
        f"<p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
    )


def shape(*texts: str, place: str = "", hidden: bool = False) -> str:
    """A shape of paragraphs; leading tabs are levels, `* ` is a bullet of its own."""
    placeholder = f'<p:ph type="{place}"/>' if place else ""
    paragraphs = "".join(map(_slide_paragraph, texts))
    flag = ' hidden="1"' if hidden else ""
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="x"{flag}/><p:nvPr>{placeholder}</p:nvPr></p:nvSpPr>'
        f"<p:txBody>{paragraphs}</p:txBody></p:sp>"
    )


def _slide_paragraph(text: str) -> str:
    level = len(text) - len(text.lstrip("\t"))
    bullet = '<a:buChar char="•"/>' if text.strip("\t").startswith("* ") else ""
    words = escape(text.strip("\t").removeprefix("* "))
    return f'<a:p><a:pPr lvl="{level}">{bullet}</a:pPr><a:r><a:t>{words}</a:t></a:r></a:p>'


def make_epub(
    chapters: Mapping[str, str],
    *,
    title: str = "A book",
    language: str = "en",
    navigation: str = "",
    parts: Parts | None = None,
) -> bytes:
    """A book; the chapters are bodies of XHTML by their file names, in reading order."""
    items = "".join(
        f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>'
        for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    nav = '<item id="n" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
    return pack(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": (
                '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
                '<rootfile full-path="book/content.opf"/></rootfiles></container>'
            ),
            "book/content.opf": (
                '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
                '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
                f"<dc:title>{title}</dc:title><dc:language>{language}</dc:language></metadata>"
                f"<manifest>{items}{nav if navigation else ''}</manifest>"
                f"<spine>{spine}</spine></package>"
            ),
            **({"book/nav.xhtml": f"<html><body>{navigation}</body></html>"} if navigation else {}),
            **{f"book/{name}": xhtml(body) for name, body in chapters.items()},
            **(parts or {}),
        }
    )


def xhtml(body: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'
        f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head>'
        f"<body>{body}</body></html>"
    )


def _word(tag: str, content: str) -> str:
    return (
        f'<w:{tag} xmlns:w="{WORD}" xmlns:r="{LINKS}" xmlns:mc="{COMPATIBLE}">{content}</w:{tag}>'
    )


def _sheet(rows: str) -> str:
    content = rows[3:] if rows.startswith("<!>") else f"<sheetData>{rows}</sheetData>"
    return f'<worksheet xmlns="{SHEET}">{content}</worksheet>'


def _types(part: str, kind: str) -> str:
    return (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Override PartName="{part}" ContentType="{kind}"/></Types>'
    )


def _relations(targets: Mapping[str, str], *, core: bool = False, more: str = "") -> str:
    links = "".join(
        f'<Relationship Id="{kind}" Type="{LINKS}/{kind}" Target="{target}"/>'
        for kind, target in targets.items()
    )
    if core:
        links += f'<Relationship Id="core" Type="{CORE_LINK}" Target="docProps/core.xml"/>'
    return f'<Relationships xmlns="{PACKAGE_LINKS}">{links}{more}</Relationships>'


def _core(title: str) -> str:
    return (
        f'<c:coreProperties xmlns:c="{CORE}" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{escape(title)}</dc:title></c:coreProperties>"
    )
