"""Archives are opened within limits, and told apart by what is in them."""

import zipfile

import pytest

from pipelines.errors import Permanent
from pipelines.knowledge import archive
from pipelines.knowledge.archive import Archive
from pipelines.knowledge.sniff import sniff
from pipelines.knowledge.sniff_archive import DOCX, EPUB, OLD_SIGNATURE, PPTX, XLS, XLSX
from tests.unit.extract_hostile import honest_files
from tests.unit.extract_packages import docx_parts, pack, paragraph, xlsx_parts
from tests.unit.extract_pdfs import make_pdf, stack

FILES = {kind: pack(parts) for kind, parts in honest_files().items()}


def old_office(stream: str) -> bytes:
    return OLD_SIGNATURE + bytes(504) + stream.encode("utf-16-le") + bytes(512)


@pytest.mark.parametrize(
    ("kind", "mime"), [("docx", DOCX), ("xlsx", XLSX), ("pptx", PPTX), ("epub", EPUB)]
)
@pytest.mark.parametrize("name", ["a.pdf", "a.zip", "a.txt", None])
def test_a_document_is_told_by_its_parts_whatever_it_is_called(
    kind: str, mime: str, name: str | None
) -> None:
    assert sniff(FILES[kind], content_type="text/plain", name=name) == mime


def test_a_pdf_that_is_called_docx_is_a_pdf() -> None:
    body = make_pdf(stack("Words of a page."))

    assert sniff(body, content_type=DOCX, name="soap.docx") == "application/pdf"


@pytest.mark.parametrize("kind", ["docm", "xlsm"])
def test_files_with_macros_are_told_too(kind: str) -> None:
    word, sheet = docx_parts(paragraph("x"), kind="docm"), xlsx_parts({"a": ""}, kind="xlsm")

    assert sniff(pack(word if kind == "docm" else sheet)) == (DOCX if kind == "docm" else XLSX)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (pack({"a.txt": "words"}), "is a ZIP archive and no document: unpack it"),
        (pack({"mimetype": "application/vnd.oasis.opendocument.text"}), "OpenDocument"),
        (pack({"[Content_Types].xml": "<Types/>"}), "an Office file of a kind that cannot"),
        (
            pack({"[Content_Types].xml": "ms-excel.sheet.binary.macroEnabled.main+xml"}),
            r"a binary Excel file \(xlsb\): save it as XLSX or CSV",
        ),
        (old_office("WordDocument"), r"an old Word file \(doc\): save it as DOCX or PDF"),
        (old_office("PowerPoint Document"), r"an old PowerPoint file \(ppt\): save it as PPTX"),
        (old_office("EncryptedPackage"), "is encrypted and needs a password"),
        (old_office("Something"), "looks like an old Office file"),
        (b"{\\rtf1 words", r"Rich Text file \(RTF\), which cannot be read"),
        (b"PK\x05\x06" + bytes(18), "is a ZIP archive and no document"),
        (b"PK\x03\x04" + bytes(40), "is damaged or cut off"),
    ],
)
def test_what_is_no_document_is_refused_with_what_to_do(body: bytes, message: str) -> None:
    with pytest.raises(Permanent, match=f"^soap .*{message}"):
        sniff(body, name="soap")


def test_an_old_excel_file_is_told_by_its_stream() -> None:
    assert sniff(old_office("Workbook"), name="a.doc") == XLS


def test_names_match_without_case_and_with_backslashes() -> None:
    opened = Archive(pack({"Word\\Document.XML": "x"}), label="the file")

    assert opened.read("/word/document.xml", bytes_max=9) == b"x"


def test_an_entry_that_is_locked_or_packed_otherwise_is_refused() -> None:
    squeezed = Archive(pack({"a": "x" * 99}, method=zipfile.ZIP_BZIP2), label="the file")
    body = bytearray(pack({"a": "x" * 99}))
    body[body.index(b"PK\x01\x02") + 8] |= 1
    locked = Archive(bytes(body), label="the file")

    with pytest.raises(Permanent, match="packed in a way that cannot be read"):
        squeezed.read("a", bytes_max=99)
    with pytest.raises(Permanent, match="encrypted and needs a password"):
        locked.read("a", bytes_max=99)


def test_what_unpacks_beyond_a_limit_is_refused_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    body = pack({"a": "x" * 99_999, "b": "y" * 99_999})

    with pytest.raises(Permanent, match=r"a unpacks to more than 99 bytes \(the limit\)"):
        Archive(body, label="the file").read("a", bytes_max=99)

    monkeypatch.setattr(archive, "ENTRY_BYTES_MAX", 1_000)
    with pytest.raises(Permanent, match=r"a unpacks to more than 1,000 bytes \(the limit\)"):
        Archive(body, label="the file").read("a", bytes_max=10**9)

    monkeypatch.setattr(archive, "ENTRY_BYTES_MAX", 100_000)
    monkeypatch.setattr(archive, "TOTAL_BYTES_MAX", 150_000)
    opened = Archive(body, label="the file")
    opened.read("a", bytes_max=10**9)
    with pytest.raises(Permanent, match=r"it unpacks to more than 150,000 bytes \(the limit\)"):
        opened.read("b", bytes_max=10**9)

    monkeypatch.setattr(archive, "RATIO_FLOOR_BYTES", 1_000)
    monkeypatch.setattr(archive, "RATIO_MAX", 2)
    with pytest.raises(Permanent, match=r"more than 2 times its size \(the limit\)"):
        Archive(body, label="the file").read("a", bytes_max=10**9)


def test_a_wrong_checksum_is_a_damage() -> None:
    body = bytearray(pack({"a": "x" * 99}, method=zipfile.ZIP_STORED))
    body[40] = ord("y")

    with pytest.raises(Permanent, match="is damaged or cut off: it cannot be unpacked"):
        Archive(bytes(body), label="the file").read("a", bytes_max=999)
