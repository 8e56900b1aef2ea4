"""The readings of a text: as it stands, and as what it may hide from anyone but a model."""

import base64
import binascii
import codecs
import html
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

READING_CHARS_MAX = 8_000
ENCODED_CHARS_MIN = 16
PRINTABLE_SHARE_MIN = 0.9

# Letters that look like Latin ones, in the order of _LOOKS.
_LOOKALIKES = "аеорсухіјѕһԁԛԝвкмнтгзбпΑΒΕΖΗΙΚΜΝΟΡΤΥΧαοενικρτυχγωıɡɩʟɴʀᴀᴇᴏᴜ"
_LOOKS = "aeopcyxijshdqwbkmhtrzbnABEZHIKMNOPTYXaoevikptuxywigilnraeou"
_UNMASKED = str.maketrans(_LOOKALIKES, _LOOKS)
_DIGITS = str.maketrans("0134578@$!|€", "oieastbasiie")

_SPACED_OUT = re.compile(r"(?<![^\W_])(?:[^\W\d_][\W_]{1,3}){4,}[^\W\d_](?![^\W_])")
_ENCODED = re.compile(rf"[A-Za-z0-9+/_-]{{{ENCODED_CHARS_MIN},}}={{0,2}}")
_HEX = re.compile(r"(?:(?:0x|\\x)?[0-9a-f]{2}[\s,:]?){8,}", re.I)
_BITS = re.compile(r"(?:[01]{8}\s?){4,}")
_ESCAPED = re.compile(r"\\u\{?([0-9a-f]{4})\}?", re.I)


def list_readings(text: str) -> list[str]:
    """In lower case, without accents; the first is the text itself."""
    shown = fold(text)
    hidden = [*_decode(_drop_invisible(text)), _tagged(text)]
    readings = [shown, *(fold(each) for each in hidden if each)]
    readings += [fold(_SPACED_OUT.sub(_join, text)), shown.translate(_DIGITS)]
    readings += [fold(text.translate(_UNMASKED)), codecs.encode(shown, "rot13"), shown[::-1]]
    return list(dict.fromkeys(each[:READING_CHARS_MAX] for each in readings))


def mixes_scripts(text: str) -> bool:
    """Whether a word is of letters of two alphabets that look alike."""
    return any(
        word.translate(_UNMASKED) != word and re.search(r"[A-Za-z]", word)
        for word in re.findall(r"[^\W\d_]{3,}", _drop_invisible(text))
    )


def hides_text(text: str) -> bool:
    """Whether it has letters that no screen shows, or turns the direction of writing by force."""
    return any("\U000e0020" <= char <= "\U000e007e" or char in "\u202d\u202e" for char in text)


def fold(text: str) -> str:
    """In lower case, without accents and without what no screen shows."""
    text = unicodedata.normalize("NFKD", _drop_invisible(text)).casefold()
    return "".join(char for char in text if unicodedata.category(char) != "Mn")


def _drop_invisible(text: str) -> str:
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text)
    return "".join(
        char
        for char in text
        if unicodedata.category(char) != "Cf" and not "\ufe00" <= char <= "\ufe0f"
    )


def _join(found: re.Match[str]) -> str:
    """i g n o r e: a wider gap parts words."""
    return re.sub(r"[\W_]", "", re.sub(r"[\W_]{2,}", "0", found[0])).replace("0", " ")


def _tagged(text: str) -> str:
    """What is written in Unicode's invisible tag letters."""
    return "".join(
        chr(ord(char) - 0xE0000) for char in text if "\U000e0020" <= char <= "\U000e007e"
    )


def _decode(text: str) -> Iterator[str]:
    unescaped = html.unescape(unquote(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)))
    if unescaped != text:
        yield unescaped
    for found in _ENCODED.findall(text):
        yield _read_bytes(_from_base64(found))
    for found in _HEX.findall(text):
        digits = re.sub(r"0x|\\x|[^0-9a-f]", "", found, flags=re.I)
        yield _read_bytes(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    for found in _BITS.findall(text):
        bits = re.sub(r"\s", "", found)
        yield _read_bytes(int(bits, 2).to_bytes(len(bits) // 8, "big"))


def _from_base64(text: str) -> bytes:
    stripped = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(stripped + "=" * (-len(stripped) % 4))
    except (binascii.Error, ValueError):
        return b""


def _read_bytes(content: bytes) -> str:
    """ "" where they are no text."""
    text = content.decode("utf-8", "replace")
    printable = sum(char.isprintable() and char != "\ufffd" for char in text)
    return text if printable >= PRINTABLE_SHARE_MIN * max(len(text), 1) else ""
