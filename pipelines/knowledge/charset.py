"""Bytes -> text: byte order mark, what the bytes prove, what was declared, then a guess."""

import codecs
import re
from collections.abc import Sequence
from contextlib import suppress

from pipelines.knowledge.charset_guess import guess_charset, rate_usualness, score_charset

PRESCAN_BYTES = 4096
UTF16_SAMPLE_BYTES = 4096
ISO_2022_BYTES = 65_536
# Charset and text belong together although this share of what is beyond ASCII does not fit.
UTF8_DAMAGE_SHARE_MAX = 0.3
DAMAGE_SHARE_MAX = 0.05
USUAL_MEAN_MIN = 0.5
# Half of all bytes of a Latin text in UTF-16 are NUL.
NUL_SHARE_MIN = 0.35
# A declared charset is overruled when another makes so much more usual text of the bytes.
DOUBT_SCORE = 0.7

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What the labels mean on the web (WHATWG Encoding), where Python's codecs mean something else.
_WEB_LABELS = {
    **dict.fromkeys(
        (
            *("iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "latin-1", "l1", "cp819"),
            *("ascii", "us-ascii", "ansi_x3.4-1968", "windows-1252", "x-cp1252"),
        ),
        "cp1252",
    ),
    **dict.fromkeys(("iso-8859-9", "iso8859-9", "latin5", "l5", "x-cp1254"), "cp1254"),
    **dict.fromkeys(("iso-8859-11", "iso8859-11", "tis-620", "dos-874"), "cp874"),
    **dict.fromkeys(("gb2312", "gb_2312-80", "gbk", "x-gbk", "chinese", "csgb2312"), "gb18030"),
    **dict.fromkeys(("big5", "big5-hkscs", "cn-big5", "x-x-big5", "csbig5"), "big5hkscs"),
    **dict.fromkeys(
        ("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji", "csshiftjis", "windows-31j"),
        "cp932",
    ),
    **dict.fromkeys(
        ("euc-kr", "euckr", "ks_c_5601-1987", "ks_c_5601-1989", "ksc5601", "korean", "cseuckr"),
        "cp949",
    ),
    **dict.fromkeys(("x-euc-jp", "cseucpkdfmtjapanese"), "euc_jp"),
    **dict.fromkeys(("utf8", "unicode-1-1-utf-8", "x-unicode20utf8"), "utf-8"),
    **dict.fromkeys(("utf-16", "utf-16le", "unicode", "ucs-2", "iso-10646-ucs-2"), "utf-16-le"),
    "x-mac-cyrillic": "mac_cyrillic",
    "macintosh": "mac_roman",
    "x-mac-roman": "mac_roman",
    "iso-8859-8-i": "iso8859_8",
}
_CODECS = frozenset(
    (
        *("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"),
        *(f"cp{page}" for page in (*range(1250, 1259), 855, 866, 874, 932, 949)),
        *(f"iso8859-{part}" for part in (*range(2, 9), 10, 13, 14, 15, 16)),
        *("koi8-r", "koi8-u", "mac-roman", "mac-cyrillic"),
        *("euc_jp", "iso2022_jp", "gb18030", "big5hkscs"),
    )
)
_CONTROLS = re.compile(rb"[\0-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_BEYOND_TEXT = re.compile(rb"[\x01-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\xff]")
_ISO_2022_JP = re.compile(rb"\x1b(?:\$[@B]|\([JI])")
_META_CHARSET = re.compile(
    rb"<meta[^>]{0,400}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.\-]{2,40})"
    rb"|<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_:.\-]{2,40})",
    re.IGNORECASE,
)
_HTML_LANGUAGE = re.compile(rb"<html[^>]{0,400}?\blang\s*=\s*[\"']?([A-Za-z]{2,3})", re.IGNORECASE)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def decode_text(body: bytes, declared: str | None = None) -> str:
    """Decode text; no byte order mark, NUL or lone surrogate is left in it."""
    return _clean(_decode(body, [declared], language=None))


def decode_html(body: bytes, declared: str | None = None) -> str:
    """Decode a page, which may name its charset and its language itself."""
    head = body[:PRESCAN_BYTES]
    meta, language = _META_CHARSET.search(head), _HTML_LANGUAGE.search(head)
    in_page = (meta[1] or meta[2]).decode("ascii") if meta else None
    named = language[1].decode("ascii").lower() if language else None
    return _clean(_decode(body, [declared, in_page], language=named))


def _decode(body: bytes, declared: list[str | None], *, language: str | None) -> str:
    for mark, charset in _MARKS:
        if body.startswith(mark):
            errors = STRAY_BYTES if charset == "utf-8" else "replace"
            return body[len(mark) :].decode(charset, errors)
    if body.isascii() and _ISO_2022_JP.search(body[:ISO_2022_BYTES]):
        return body.decode("iso2022_jp", "replace")
    if not _CONTROLS.search(body[:UTF16_SAMPLE_BYTES]):
        with suppress(UnicodeDecodeError):
            return body.decode("utf-8")
    names = [name for name in map(find_codec, declared) if name]
    wide = find_utf16(body, names)
    if wide:
        return body.decode(wide, "replace")
    return _decode_utf8(body) or _decode_legacy(body, names, language=language)


def has_mark(body: bytes) -> bool:
    return any(body.startswith(mark) for mark, _ in _MARKS)


def find_codec(label: str | None) -> str | None:
    """The Python codec that a label of the web stands for; None for an unknown one."""
    name = (label or "").strip().strip("\"'").lower()
    try:
        codec = codecs.lookup(_WEB_LABELS.get(name, name)).name
    except (LookupError, ValueError):
        return None
    return codec if codec in _CODECS else None


def find_utf16(body: bytes, declared: Sequence[str] = ()) -> str | None:
    """Recognise UTF-16 without a mark: it is declared, or looks like it, and makes sense."""
    sample = body[: min(len(body), UTF16_SAMPLE_BYTES) // 2 * 2]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    names = [name for name in declared if name.startswith("utf-16")]
    if max(even, odd) >= NUL_SHARE_MIN * len(sample) or _is_wide(body, sample):
        names += ["utf-16-be", "utf-16-le"] if even > odd else ["utf-16-le", "utf-16-be"]
    readings = ((name, sample.decode(name, "replace")) for name in names if sample)
    return next((name for name, text in readings if _makes_sense(text)), None)


def _is_wide(body: bytes, sample: bytes) -> bool:
    """Tell whether the bytes may be UTF-16 of a script with few NULs: Chinese, Russian, Thai."""
    return len(body) % 2 == 0 and _BEYOND_TEXT.search(sample) is not None


def _makes_sense(text: str) -> bool:
    return sum(map(rate_usualness, text)) >= USUAL_MEAN_MIN * len(text)


def _decode_utf8(body: bytes) -> str | None:
    """UTF-8 is proved by its own form, whatever is declared; stray bytes are windows-1252's."""
    text = body.decode("utf-8", "replace")
    if "\ufffd" not in text:
        return text
    damage = text.count("\ufffd") - body.count("\ufffd".encode())
    if damage > UTF8_DAMAGE_SHARE_MAX * (_count_beyond_ascii(text) - damage):
        return None
    return body.decode("utf-8", STRAY_BYTES)


def _count_beyond_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _decode_legacy(body: bytes, names: list[str], *, language: str | None) -> str:
    guess = guess_charset(body, language=language)
    for name in names:
        text = "" if name.startswith("utf") else body.decode(name, "replace")
        is_fitting = text.count("\ufffd") <= DAMAGE_SHARE_MAX * _count_beyond_ascii(text)
        if text and is_fitting and not _is_doubtful(body, name, guess):
            return text
    return body.decode(guess, "replace")


def _is_doubtful(body: bytes, name: str, guess: str) -> bool:
    return score_charset(body, guess) > score_charset(body, name) + DOUBT_SCORE


def _clean(text: str) -> str:
    return _LONE_SURROGATE.sub("", text.removeprefix("\ufeff").replace("\0", ""))


def _read_stray_bytes(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    stray = error.object[error.start : error.end]
    return stray.decode("cp1252", "replace"), error.end


STRAY_BYTES = "avivro-stray-bytes"
codecs.register_error(STRAY_BYTES, _read_stray_bytes)
