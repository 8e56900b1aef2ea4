"""One file of Google Drive -> its document: exported where it is Google's own, else downloaded."""

from collections.abc import Mapping
from typing import Any

from pipelines.errors import Permanent
from pipelines.gateways.drive import Drive
from pipelines.gateways.drive_failures import UnreadableError
from pipelines.gateways.fetch import FILE_BYTES_MAX
from pipelines.knowledge.document import Document
from pipelines.knowledge.sandbox import Parser

GOOGLE = "application/vnd.google-apps."
OFFICE = "application/vnd.openxmlformats-officedocument."
# In this order: the later ones lose structure, but are smaller and always to be had.
EXPORTS: Mapping[str, tuple[str, ...]] = {
    "document": (f"{OFFICE}wordprocessingml.document", "text/markdown", "text/plain"),
    "spreadsheet": (f"{OFFICE}spreadsheetml.sheet", "text/csv"),
    "presentation": (f"{OFFICE}presentationml.presentation", "text/plain"),
}
WORDLESS = ("image/", "video/", "audio/", "font/")


def check_file(file: Mapping[str, Any]) -> None:
    """Raises UnreadableError for what need not be loaded to know that it cannot be read."""
    mime, size = str(file.get("mimeType")), str(file.get("size") or 0)
    if mime.startswith(GOOGLE) and mime.removeprefix(GOOGLE) not in EXPORTS:
        raise UnreadableError(f"Google's {mime.removeprefix(GOOGLE)} files hold no text to read")
    if mime.startswith(WORDLESS):
        raise UnreadableError(f"files of type {mime.partition('/')[0]} hold no text to read")
    if size.isdigit() and int(size) > FILE_BYTES_MAX:
        raise UnreadableError(f"it is {int(size):,} bytes, the limit is {FILE_BYTES_MAX:,}")
    if (file.get("capabilities") or {}).get("canDownload") is False:
        raise UnreadableError("its owner does not allow downloading it")


def load(drive: Drive, parser: Parser, file: Mapping[str, Any]) -> Document:
    """Raises UnreadableError where this file alone cannot be read."""
    mime = str(file.get("mimeType"))
    if mime.startswith(GOOGLE):
        return _export(drive, parser, file, EXPORTS[mime.removeprefix(GOOGLE)])
    return _parse(parser, file, drive.download(str(file["id"])), mime)


def _export(
    drive: Drive, parser: Parser, file: Mapping[str, Any], forms: tuple[str, ...]
) -> Document:
    """In the first form that Google gives: text alone is small where pictures are not."""
    refused: UnreadableError | None = None
    for form in forms:
        try:
            return _parse(parser, file, drive.export(str(file["id"]), form), form)
        except UnreadableError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _parse(parser: Parser, file: Mapping[str, Any], body: bytes, mime: str) -> Document:
    kind = f"{mime}; charset=utf-8" if mime.startswith("text/") else mime
    try:
        return parser.parse(body, content_type=kind, name=str(file.get("name") or "the file"))
    except Permanent as error:
        raise UnreadableError(str(error)) from error
