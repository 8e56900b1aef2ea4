"""What a ZIP or an old Office file holds, told by what is written in it, not by its name."""

import re

from pipelines.errors import Permanent
from pipelines.knowledge.archive import Archive

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLS = "application/vnd.ms-excel"
EPUB = "application/epub+zip"

ZIP_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
OLD_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
TYPES_BYTES_MAX = 2_000_000
MIMETYPE_BYTES_MAX = 200

# The main part's type; macro-enabled files and templates hold the same text.
_MAIN_TYPE = re.compile(
    rb"wordprocessingml\.(?P<docx>document|template)\.main|ms-word\.(?:document|template)\."
    rb"macroEnabled(?:Template)?\.main|presentationml\.(?P<pptx>presentation|slideshow|template)"
    rb"\.main|ms-powerpoint\.(?P<pptm>\w+)\.macroEnabled\.main|spreadsheetml\."
    rb"(?P<xlsx>sheet|template)\.main|ms-excel\.(?P<xlsm>sheet|template)\.macroEnabled\.main"
    rb"|ms-excel\.(?P<xlsb>sheet\.binary)\.macroEnabled\.main",
    re.IGNORECASE,
)
_OPEN_DOCUMENTS = ("application/vnd.oasis.opendocument.", "application/vnd.sun.xml.")
_OLD_KINDS = (
    ("EncryptedPackage", None, "is encrypted and needs a password to be read"),
    ("WordDocument", None, "is an old Word file (doc): save it as DOCX or PDF"),
    ("PowerPoint Document", None, "is an old PowerPoint file (ppt): save it as PPTX or PDF"),
    ("Workbook", XLS, ""),
    ("Book", XLS, ""),
)


def sniff_zip(body: bytes, *, label: str) -> str:
    """The type of a ZIP that is a document; raises Permanent for every other ZIP."""
    archive = Archive(body, label=label)
    if archive.holds("[Content_Types].xml"):
        return _sniff_office(archive, label)
    if archive.holds("mimetype"):
        mime = archive.read("mimetype", bytes_max=MIMETYPE_BYTES_MAX).strip().decode("latin-1")
        if mime == EPUB:
            return EPUB
        if mime.startswith(_OPEN_DOCUMENTS):
            raise Permanent(
                f"{label} is an OpenDocument file, which cannot be read: "
                "save it as DOCX, XLSX, PPTX or PDF"
            )
    if archive.holds("META-INF/container.xml"):
        return EPUB
    raise Permanent(
        f"{label} is a ZIP archive and no document: unpack it and upload the files in it"
    )


def _sniff_office(archive: Archive, label: str) -> str:
    types = archive.read("[Content_Types].xml", bytes_max=TYPES_BYTES_MAX).replace(b"\0", b"")
    found = _MAIN_TYPE.search(types)
    if found is None:
        raise Permanent(f"{label} is an Office file of a kind that cannot be read")
    if found["xlsb"]:
        raise Permanent(f"{label} is a binary Excel file (xlsb): save it as XLSX or CSV")
    if found["xlsx"] or found["xlsm"]:
        return XLSX
    return PPTX if found["pptx"] or found["pptm"] else DOCX


def sniff_old_office(body: bytes, *, label: str) -> str:
    """The type of an old Office file by the streams in it; raises Permanent but for Excel's."""
    for stream, mime, refusal in _OLD_KINDS:
        if stream.encode("utf-16-le") not in body:
            continue
        if mime is None:
            raise Permanent(f"{label} {refusal}")
        return mime
    raise Permanent(
        f"{label} looks like an old Office file (doc, xls, ppt), which cannot be read: "
        "save it as DOCX, XLSX, PPTX or PDF"
    )
