"""Files that want to do harm, built small: bombs, loops, deep nests and calls to the outside."""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping

from tests.unit.extract_packages import (
    DRAWING,
    LINKS,
    PACKAGE_LINKS,
    Parts,
    docx_parts,
    make_epub,
    pack,
    paragraph,
    pptx_parts,
    row,
    shape,
    table,
    word_part,
    xlsx_parts,
)

MEGABYTE = 1_000_000

_TEXT = re.compile(r">([^<>]+)<")

LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    + "".join(
        f'<!ENTITY {chr(98 + n)}{chr(98 + n)} "{f"&{chr(97 + n) * (2 if n else 1)};" * 10}">'
        for n in range(9)
    )
    + "]>"
)
# Behind more than a reader looks at before it begins.
LATE_LAUGHS = f"<!--{'x' * 100_000}-->{LAUGHS}"
QUADRATIC = f'<!DOCTYPE x [<!ENTITY a "{"x" * 100_000}">]>'


def find_outside(port: int) -> Mapping[str, str]:
    """Declarations that ask a parser to read a file or to call a server."""
    return {
        "file": '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        "http": f'<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:{port}/entity">]>',
        "parameter": (
            f'<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:{port}/p.dtd">%p;<!ENTITY a "x">]>'
        ),
        "dtd": f'<!DOCTYPE x SYSTEM "http://127.0.0.1:{port}/x.dtd">',
        "stylesheet": f'<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:{port}/x.xsl"?>',
    }


def honest_files() -> dict[str, Parts]:
    """One small file of each packed format, by its parts."""
    contents = '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap/></ncx>'
    book = make_epub(
        {"one.xhtml": "<h1>Soap</h1><p>Words of a chapter.</p>"},
        parts={
            "book/toc.ncx": contents,
            "META-INF/encryption.xml": "<encryption/>",
            "book/content.opf": (
                '<package xmlns="http://www.idpf.org/2007/opf"><metadata/><manifest>'
                '<item id="c" href="one.xhtml" media-type="application/xhtml+xml"/>'
                '<item id="t" href="toc.ncx" media-type="application/x-dtbncx+xml"/>'
                '</manifest><spine toc="t"><itemref idref="c"/></spine></package>'
            ),
        },
    )
    notes = {
        "word/numbering.xml": word_part("numbering", ""),
        "word/footnotes.xml": word_part("footnotes", ""),
    }
    body = paragraph("Soap", style="H1") + paragraph("Words.") + table(["a", "b"], ["1", "2"])
    return {
        "docx": docx_parts(body, title="Soap", parts=notes),
        "xlsx": xlsx_parts({"Soap": row(1, "Item", "Price") + row(2, "Olive", 3)}, texts=["x"]),
        "pptx": pptx_parts(shape("Soap", place="title") + shape("* oil", "* lye")),
        "epub": unpack(book),
    }


def unpack(body: bytes) -> dict[str, str | bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def find_xml_parts() -> list[tuple[str, str]]:
    """Every XML part of every format, by format and name."""
    return [
        (kind, name)
        for kind, parts in honest_files().items()
        for name in parts
        if name not in ("mimetype", "book/one.xhtml")
    ]


def declare(kind: str, name: str, declaration: str) -> bytes:
    """A file with a declaration before one part, and the entity wherever that part has text."""
    parts = dict(honest_files()[kind])
    xml = parts[name]
    text = xml if isinstance(xml, str) else xml.decode()
    text = text.partition("?>")[2] if text.startswith("<?xml") else text
    if "ENTITY a" in declaration:
        text, count = _TEXT.subn(r">&a;&a;&a;&a;&a;&a;&a;&a;\1<", text)
        if not count and "</" in text:
            end = text.rindex("</")
            text = f"{text[:end]}&a;{text[end:]}"
    return pack({**parts, name: declaration + text})


def bomb(kind: str, name: str, before: str, filling: bytes, after: str, *, size: int) -> bytes:
    """A file one part of which unpacks to `size` bytes; packed without holding it."""
    buffer = io.BytesIO()
    chunk = filling * (MEGABYTE // len(filling))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for other, content in honest_files()[kind].items():
            if other != name:
                archive.writestr(other, content)
        with archive.open(name, "w") as stream:
            stream.write(before.encode())
            for _ in range(size // len(chunk)):
                stream.write(chunk)
            stream.write(after.encode())
    return buffer.getvalue()


def overlap(*, sheets: int) -> bytes:
    """An Excel file whose sheets are all the same bytes of the archive, at different names."""
    parts = dict(xlsx_parts({f"s{number}": row(1, "Soap") for number in range(sheets)}))
    content = parts.pop("xl/sheet1.xml")
    for number in range(2, sheets + 1):
        del parts[f"xl/sheet{number}.xml"]
    return _repeat_entry(pack({"xl/sheet1.xml": content, **parts}), b"xl/sheet1.xml", sheets)


def share_sheet(*, sheets: int, sheet_bytes: int) -> bytes:
    """An Excel file whose sheets are all the same part."""
    cells = f'<row><c t="str"><v>{"soap " * 200}</v></c></row>'
    parts = xlsx_parts({f"s{number}": "" for number in range(sheets)})
    links = str(parts["xl/_rels/workbook.xml.rels"])
    for number in range(2, sheets + 1):
        links = links.replace(f'"sheet{number}.xml"', '"sheet1.xml"')
    sheet = str(parts["xl/sheet1.xml"]).replace(
        "</sheetData>", cells * (sheet_bytes // len(cells)) + "</sheetData>"
    )
    return pack({**parts, "xl/sheet1.xml": sheet, "xl/_rels/workbook.xml.rels": links})


def _repeat_entry(body: bytes, name: bytes, count: int) -> bytes:
    """Write the directory entry of a part again under the names of the sheets that follow."""
    end = body.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", body, end + 16)[0]
    directory = body[start:end]
    first = directory[: 46 + len(name)]
    added = []
    for number in range(2, count + 1):
        other = name.replace(b"1", str(number).encode())
        header = first[:28] + struct.pack("<H", len(other)) + first[30:46]
        added.append(header + other)
    directory += b"".join(added)
    entries = struct.unpack_from("<H", body, end + 10)[0] + count - 1
    tail = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, entries, entries, len(directory), start, 0)
    return body[:start] + directory + tail


def move_cell(body: bytes) -> bytes:
    """An old Excel file whose first text stands in the last cell that there is."""
    start = body.index(b"\xfd\x00\x0a\x00") + 4
    return body[:start] + struct.pack("<HH", 65_535, 255) + body[start + 4 :]


def crowd(entries: int) -> bytes:
    """An archive of empty entries."""
    local, directory = bytearray(), bytearray()
    for number in range(entries):
        name = b"%x" % number
        directory += struct.pack(
            *("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0),
            *(len(name), 0, 0, 0, 0, 0, len(local)),
        )
        directory += name
        local += struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, len(name), 0) + name
    count = min(entries, 0xFFFF)
    tail = (b"PK\5\6", 0, 0, count, count, len(directory), len(local), 0)
    return bytes(local + directory) + struct.pack("<4sHHHHIIH", *tail)


def nest_zips(depth: int) -> bytes:
    body = zlib.compress(bytes(MEGABYTE))
    for _ in range(depth):
        body = pack({f"{number}.zip": body for number in range(10)})
    return body


def call_outside(port: int) -> dict[str, bytes]:
    """Files that name addresses wherever a format lets them."""
    address = f"http://127.0.0.1:{port}/canary"
    outward = "".join(
        f'<Relationship Id="x{n}" Type="{LINKS}/{kind}" Target="{address}/{kind}"'
        ' TargetMode="External"/>'
        for n, kind in enumerate(("attachedTemplate", "image", "hyperlink", "oleObject", "frame"))
    )
    links = f'<Relationships xmlns="{PACKAGE_LINKS}">{outward}</Relationships>'
    # The same without the flag: the target is then the name of a part that is not there.
    inward = links.replace(' TargetMode="External"', "")
    page = (
        f'<link rel="stylesheet" href="{address}"/><img src="{address}"/><p>Words.</p>'
        f'<iframe src="{address}"></iframe><object data="{address}"></object>'
    )
    action = f"<< /S /URI /URI ({address}) >>"
    return {
        **_call_from_office(address, "external", links),
        **_call_from_office(address, "inward", inward),
        "epub": make_epub({"one.xhtml": page}),
        "epub include": make_epub({"one.xhtml": f"<p>Words.</p>{_include(address)}"}),
        "html": f"<!doctype html><html><head>{page}</head><body>{page}</body></html>".encode(),
        "json": f'{{"$ref": "{address}", "a": "<img src={address}><p>Words.</p>"}}'.encode(),
        "csv": f'a,b\n"=WEBSERVICE(""{address}"")",Words.\n'.encode(),
        "pdf": make_looping_pdfs(f"/OpenAction {action} /AA << /O {action} >>")["honest"],
    }


def _call_from_office(address: str, label: str, links: str) -> dict[str, bytes]:
    fields = (
        f'<w:p><w:r><w:instrText> INCLUDETEXT "{address}" </w:instrText></w:r></w:p>'
        f'<w:p><w:hyperlink r:id="x2"><w:r><w:t>Words.</w:t></w:r></w:hyperlink></w:p>'
    )
    picture = f'<p:pic><p:blipFill><a:blip xmlns:a="{DRAWING}" r:link="x1"/></p:blipFill></p:pic>'
    formula = f'<row r="1"><c r="A1" t="str"><f>WEBSERVICE("{address}")</f><v>Words.</v></c></row>'
    word = {f"word/_rels/{part}.xml.rels": links for part in ("settings", "footnotes")}
    sheet = {"xl/_rels/sheet1.xml.rels": links}
    slide = {"ppt/slides/_rels/slide1.xml.rels": links}
    return {
        f"docx {label}": pack(docx_parts(fields + _include(address), parts=word)),
        f"xlsx {label}": pack(xlsx_parts({"a": formula}, parts=sheet)),
        f"pptx {label}": pack(pptx_parts(shape("Words.") + picture, parts=slide)),
    }


def _include(address: str) -> str:
    space = 'xmlns:xi="http://www.w3.org/2001/XInclude"'
    return (
        f'<xi:include {space} href="{address}"/>'
        f'<xi:include {space} href="file:///etc/passwd" parse="text"/>'
    )


_SHOW = "<< /Length 44 >>\nstream\nBT /F1 12 Tf 72 720 Td (Words of soap.) Tj ET   \nendstream"
_FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
_PAGE = (
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
    " /Resources << /Font << /F1 5 0 R >> /XObject << /X 6 0 R >> >> >>"
)
_FORM = (
    "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 6 0 R >> >>"
    " /Length 5 >>\nstream\n/X Do\nendstream"
)


def make_looping_pdfs(catalog: str = "") -> dict[str, bytes]:
    """PDFs that lead back to themselves: in page tree, tables, streams, forms and outlines."""
    honest = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
        *(_PAGE, _SHOW, _FONT, _FORM),
    ]

    def change(number: int, text: str) -> list[str]:
        return [text if n == number else old for n, old in enumerate(honest, start=1)]

    forms = _SHOW.replace("   \nendstream", "/X Do\nendstream").replace("44", "47")
    outline = "<< /Title (a) /Parent 6 0 R /Next 6 0 R /First 6 0 R /Last 6 0 R >>"
    return {
        "honest": _number(honest),
        "page tree": _number(change(2, "<< /Type /Pages /Count 9 /Kids [2 0 R 2 0 R 3 0 R] >>")),
        "endless count": _number(change(2, "<< /Type /Pages /Count 2000000000 /Kids [3 0 R] >>")),
        "parents": _number(change(3, _PAGE.replace("/Parent 2 0 R", "/Parent 3 0 R"))),
        "contents": _number(change(4, "[4 0 R 4 0 R]")),
        "forms": _number(change(4, forms)),
        "length": _number(change(4, _SHOW.replace("44", "4 0 R"))),
        "outlines": _number(
            [*change(1, "<< /Type /Catalog /Pages 2 0 R /Outlines 6 0 R >>")[:5], outline]
        ),
        "previous table": _number(honest, previous=True),
        "catalog": _number(change(1, "1 0 R")),
        "extended streams": _number(
            change(
                4,
                "<< /Type /ObjStm /N 1 /First 4 /Extends 4 0 R /Length 9 >>\n"
                "stream\n4 0 4 0 R\nendstream",
            )
        ),
    }


# What a PDF's page unpacks to, and how often: 300 MB of text, or nests of states and arrays.
PDF_BOMBS = {
    "spaces": (b" " * MEGABYTE, 600),
    "words": (b"BT /F1 12 Tf 72 720 Td (Words of soap) Tj ET\n" * 20_000, 330),
    "nested states": (b"q " * 500_000, 10),
    "nested arrays": (b"[" * MEGABYTE, 5),
}


def make_pdf_bomb(kind: str) -> bytes:
    """A PDF of a few kB whose page is packed twice."""
    chunk, times = PDF_BOMBS[kind]
    return _fill_page(chunk, times=times)


def _fill_page(chunk: bytes, *, times: int) -> bytes:
    packer = zlib.compressobj(9)
    once = b"".join(packer.compress(chunk) for _ in range(times)) + packer.flush()
    hexed = zlib.compress(once, 9).hex()
    filters = "/ASCIIHexDecode /FlateDecode /FlateDecode"
    return _number(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Count 1 /Kids [3 0 R] >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
            " /Resources << /Font << /F1 5 0 R >> >> >>",
            f"<< /Length {len(hexed) + 1} /Filter [{filters}] >>\nstream\n{hexed}>\nendstream",
            "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        ]
    )


def _number(objects: list[str], *, previous: bool = False) -> bytes:
    body, places = b"%PDF-1.5\n", []
    for number, text in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{text}\nendobj\n".encode()
    entries = "".join(f"{place:010} 00000 n \n" for place in places)
    count, start = len(objects) + 1, len(body)
    loop = f" /Prev {start}" if previous else ""
    return (
        body
        + (
            f"xref\n0 {count}\n0000000000 65535 f \n{entries}"
            f"trailer << /Size {count} /Root 1 0 R{loop} >>\nstartxref\n{start}\n%%EOF\n"
        ).encode()
    )


def link_part(kind: str, name: str, target: str) -> bytes:
    """A file one part of which is a symbolic link."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for other, content in honest_files()[kind].items():
            if other != name:
                archive.writestr(other, content)
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, target)
    return buffer.getvalue()
