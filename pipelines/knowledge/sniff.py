"""What bytes are, told from the bytes; names and declared types only tell texts apart."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from pipelines.errors import Permanent
from pipelines.knowledge.charset import find_utf16, has_mark
from pipelines.knowledge.csv_dialect import looks_like_table
from pipelines.knowledge.label import make_label
from pipelines.knowledge.sniff_archive import (
    OLD_SIGNATURE,
    ZIP_SIGNATURES,
    sniff_old_office,
    sniff_zip,
)

HTML, MARKDOWN, PLAIN, PDF = "text/html", "text/markdown", "text/plain", "application/pdf"
CSV, JSON = "text/csv", "application/json"

PDF_REACH = 1024
HEAD_BYTES = 4096
SAMPLE_BYTES = 32_768
# Text may hold stray control characters and NULs; a binary file holds many.
CONTROL_SHARE_MAX = 0.01
NUL_SHARE_MAX = 0.1
CONTROLS_MAX = 2
NULS_MAX = 8

_SIGNATURES = (
    (b"\x89PNG\r\n", "an image (PNG)"),
    (b"\xff\xd8\xff", "an image (JPEG)"),
    (b"GIF8", "an image (GIF)"),
    (b"BM", "an image (BMP)"),
    (b"II*\0", "an image (TIFF)"),
    (b"MM\0*", "an image (TIFF)"),
    (b"\xd0\xcf\x11\xe0", "an old Office file (doc, xls, ppt)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"{\\rtf", "a Rich Text file (RTF)"),
    (b"%!PS", "a PostScript file"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"SQLite format 3\0", "a database (SQLite)"),
    (b"ID3", "a sound file (MP3)"),
    (b"OggS", "a sound or video file (Ogg)"),
    (b"RIFF", "a sound, image or video file (RIFF)"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
)
# Signatures of printable letters count only where what follows is not text.
_WORDLIKE = (b"BM", b"MZ", b"BZh", b"ID3", b"RIFF", b"wOFF", b"wOF2", b"OggS", b"GIF8", b"Rar!")
_HTML_START = re.compile(
    rb"(?:\s|<!--.{0,2000}?-->|<\?xml.{0,400}?\?>)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_HTML_TAG = re.compile(
    rb"<(?:!doctype|html|head|body|title|meta|script|div|p|table|h[1-6]|ul|ol|span|a|br)\b[^<]*>",
    re.IGNORECASE,
)
# Of whatever element, in what calls itself HTML: it begins with a tag, or ends an element.
_MARKUP = re.compile(rb"\A\s*<[a-z]|</[a-z][a-z0-9-]{0,40}\s*>", re.IGNORECASE)
_MARKDOWN_SIGNS = (
    re.compile(rb"^#{1,6} \S", re.MULTILINE),
    re.compile(rb"^(?:```|~~~)", re.MULTILINE),
    re.compile(rb"^\|?[ \t]*:?-{3,}:?[ \t]*\|", re.MULTILINE),
    re.compile(rb"\]\((?:https?:|/|\.|#)[^\s)]*\)"),
    re.compile(rb"\*\*[^*\n]+\*\*"),
    re.compile(rb"\A---\n.{0,2000}?\n---\n", re.DOTALL),
)
SIGNS_MIN = 2
_XML_START = re.compile(rb"\s*<\?xml\s")
_JSON_START = re.compile(
    rb"\s*(?:\{\s*(?:\"(?:[^\"\\]|\\.){0,500}\"\s*:|\}\s*$)"
    rb"|\[\s*(?:\{\s*[\"}]|\[|\"(?:[^\"\\]|\\.){0,2000}\"\s*[,\]]|-?\d[\d.eE+-]*\s*,|\]\s*$))"
)
_JSON_END = re.compile(rb"[}\]]\s*\Z")
TAIL_BYTES = 64
_JSON_TYPES = ("application/json", "application/x-ndjson", "application/jsonl", "text/json")
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson", ".geojson", ".jsonld")
_TABLE_TYPES = ("text/csv", "text/tab-separated-values", "application/csv")
_TABLE_SUFFIXES = (".csv", ".tsv", ".tab")
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_MARKDOWN_TYPES = ("text/markdown", "text/x-markdown")
_HTML_SUFFIXES = (".html", ".htm", ".xhtml")
_MARKDOWN_SUFFIXES = (".md", ".markdown", ".mdown", ".mkd", ".mdx")
_CONTROLS = bytes(code for code in range(32) if code not in b"\0\t\n\f\r\x1b") + b"\x7f"


def sniff(
    body: bytes, *, content_type: str | None = None, url: str | None = None, name: str | None = None
) -> str:
    """The media type to read the bytes as; raises Permanent when they are no readable format."""
    label = make_label(name, default="the file")
    if body.startswith(ZIP_SIGNATURES):
        return sniff_zip(body, label=label)
    if body.startswith(OLD_SIGNATURE):
        return sniff_old_office(body, label=label)
    if b"%PDF-" in body[:PDF_REACH]:
        return PDF
    binary = find_binary(body)
    if binary:
        raise Permanent(f"{label} is not text: it looks like {binary}, which cannot be read")
    declared = (content_type or "").partition(";")[0].strip().lower()
    return _tell_text_apart(body, declared, _find_suffix(name, url))


def _tell_text_apart(body: bytes, declared: str, suffix: str) -> str:
    """A page says so in its first tag; between Markdown and plain text the label decides."""
    head, tail = body[:HEAD_BYTES], body[-TAIL_BYTES:].replace(b"\0", b"")
    wide = find_utf16(head)
    head = head.replace(b"\0", b"") if wide or has_mark(head) else head
    head = head.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    if _HTML_START.match(head):
        return HTML
    is_called_json = declared in _JSON_TYPES or declared.endswith("+json")
    if _JSON_START.match(head) and (
        is_called_json or suffix in _JSON_SUFFIXES or _JSON_END.search(tail)
    ):
        return JSON
    if suffix in _MARKDOWN_SUFFIXES or declared in _MARKDOWN_TYPES:
        return MARKDOWN
    if declared in _HTML_TYPES or suffix in _HTML_SUFFIXES:
        return HTML if _HTML_TAG.search(head) or _MARKUP.search(head) else PLAIN
    is_called_table = declared in _TABLE_TYPES or suffix in _TABLE_SUFFIXES
    if _holds_table(head, is_whole=len(body) <= HEAD_BYTES, is_labelled=is_called_table):
        return CSV
    is_labelled = declared not in ("", "application/octet-stream") or suffix == ".txt"
    if not is_labelled and sum(1 for sign in _MARKDOWN_SIGNS if sign.search(head)) >= SIGNS_MIN:
        return MARKDOWN
    begins_as_markup = head.lstrip().startswith(b"<")
    if begins_as_markup and (
        _XML_START.match(head) or (not is_labelled and _HTML_TAG.search(head))
    ):
        return HTML
    return PLAIN


def _holds_table(head: bytes, *, is_whole: bool, is_labelled: bool) -> bool:
    """Judge whole lines; a letter of another charset is as good as any."""
    text = head.decode("latin-1")
    if not is_whole:
        text = text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text
    return looks_like_table(text, is_labelled=is_labelled)


def _find_suffix(*names: str | None) -> str:
    """The ending of the name, else of the address's path."""
    suffixes = (PurePosixPath(_find_path(name)).suffix.lower() for name in names if name)
    return next((suffix for suffix in suffixes if suffix), "")


def _find_path(name: str) -> str:
    try:
        return urlsplit(name).path if "://" in name else name
    except ValueError:
        return ""


def find_binary(body: bytes) -> str | None:
    """What a file that is not text seems to be; None for text in any charset."""
    is_text = _is_text(body)
    for signature, kind in _SIGNATURES:
        if body.startswith(signature) and not (is_text and signature in _WORDLIKE):
            return kind
    if body[4:8] == b"ftyp":
        return "a video or image file (MP4)"
    return None if is_text else "a binary file"


def _is_text(body: bytes) -> bool:
    if has_mark(body) or find_utf16(body):
        return True
    return all(_holds_text(sample) for sample in _take_samples(body))


def _take_samples(body: bytes) -> Iterator[bytes]:
    """The beginning, the middle and the end: some binaries begin with text."""
    yield body[:SAMPLE_BYTES]
    if len(body) > 3 * SAMPLE_BYTES:
        middle = len(body) // 2
        yield body[middle : middle + SAMPLE_BYTES]
        yield body[-SAMPLE_BYTES:]


def _holds_text(sample: bytes) -> bool:
    nuls = sample.count(0)
    controls = len(sample) - nuls - len(sample.translate(None, _CONTROLS + b"\0"))
    few_nuls = nuls <= max(NULS_MAX, NUL_SHARE_MAX * len(sample))
    return few_nuls and controls <= max(CONTROLS_MAX, CONTROL_SHARE_MAX * len(sample))
