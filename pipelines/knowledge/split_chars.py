"""What the splitter needs to know of a character, as two tables of 65,536 entries."""

import unicodedata
from enum import IntEnum, IntFlag
from functools import cache

import numpy as np
import numpy.typing as npt
import regex

Codes = npt.NDArray[np.uint32]
Octets = npt.NDArray[np.uint8]

PLANE_SIZE = 0x10000
WHITE = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    chr(code) for code in range(0x2000, 0x200B)
)


class Sort(IntEnum):
    """How the tokenizers' expressions see a character.

    UNSURE: a letter or not, depending on the version of Unicode they were built with.
    """

    UNSURE = 0
    LETTER = 1
    MARK = 2
    NUMBER = 3
    OTHER = 4
    WHITE = 5
    NEWLINE = 6


class Trait(IntFlag):
    """What a character says about the text around it. WIDE ones need no space after them."""

    STOP = 1
    PAUSE = 2
    CLOSER = 4
    WIDE = 8
    LOWER = 16
    UPPER = 32
    SPACELESS = 64
    EXTENDER = 128  # One grapheme with what stands before it, a space too.


_TRAITS = {
    Trait.STOP: ".!?…؟۔।॥።։។༎၊။‼⁇⁈⁉",
    Trait.STOP | Trait.WIDE: "。！？｡．",
    Trait.PAUSE: ",;:|—–،؛",
    Trait.PAUSE | Trait.WIDE: "，、；：",
    Trait.CLOSER: "\"')]}»”’*_`",
    Trait.CLOSER | Trait.WIDE: "」』）】〉》",
}
# Thai and Lao, Tibetan and Burmese, Khmer, kana, Han: words follow each other without a space.
_SPACELESS = (
    (0x0E00, 0x0F00),
    (0x0F00, 0x10A0),
    (0x1780, 0x1800),
    (0x3040, 0x3100),
    (0x3400, 0xA000),
    (0xF900, 0xFB00),
)
_HAN_BEYOND = (0x20000, 0x323B0)
_EXTENDERS_BEYOND = ((0x10000, 0x20000), (0xE0000, 0xE1000))
# As the insides of a character class of `regex`.
EXTENDERS = r"\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}"
_SORTS = {"L": Sort.LETTER, "M": Sort.MARK, "N": Sort.NUMBER}


def codes_of(text: str) -> Codes:
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)


def sorts_of(codes: Codes) -> Octets:
    return _look_up(_sort_table(), codes, beyond=Sort.LETTER)


def traits_of(codes: Codes) -> Octets:
    traits = _look_up(_trait_table(), codes, beyond=Trait.SPACELESS)
    if codes.size and codes.max() >= PLANE_SIZE:
        traits[np.isin(codes, _extenders_beyond())] |= np.uint8(Trait.EXTENDER)
    return traits


def _look_up(table: Octets, codes: Codes, *, beyond: int) -> Octets:
    """Read the table; of the characters beyond its plane only Han are known."""
    found = table.take(codes, mode="clip")
    if codes.size and codes.max() >= PLANE_SIZE:
        found[(codes >= _HAN_BEYOND[0]) & (codes < _HAN_BEYOND[1])] = beyond
    return found


@cache
def _sort_table() -> Octets:
    sorts = bytearray(_sort(unicodedata.category(chr(code))) for code in range(PLANE_SIZE))
    for char in WHITE:
        sorts[ord(char)] = Sort.WHITE
    sorts[ord("\n")] = sorts[ord("\r")] = Sort.NEWLINE
    return np.frombuffer(bytes(sorts) + bytes([Sort.UNSURE]), np.uint8)


def _sort(category: str) -> Sort:
    if category in {"Cn", "Co", "Cs"}:
        return Sort.UNSURE
    return _SORTS.get(category[0], Sort.OTHER)


@cache
def _trait_table() -> Octets:
    traits = np.zeros(PLANE_SIZE + 1, np.uint8)
    for trait, chars in _TRAITS.items():
        traits[[ord(char) for char in chars]] |= np.uint8(trait)
    for low, high in _SPACELESS:
        traits[low:high] |= np.uint8(Trait.SPACELESS)
    categories = [unicodedata.category(chr(code)) for code in range(PLANE_SIZE)]
    traits[_extenders(0, PLANE_SIZE)] |= np.uint8(Trait.EXTENDER)
    for trait, names in ((Trait.LOWER, {"Ll"}), (Trait.UPPER, {"Lu", "Lt"})):
        traits[[code for code, name in enumerate(categories) if name in names]] |= np.uint8(trait)
    return traits


@cache
def _extenders_beyond() -> Codes:
    found = [_extenders(low, high) for low, high in _EXTENDERS_BEYOND]
    return np.concatenate(found)


def _extenders(low: int, high: int) -> Codes:
    chars = "".join(chr(code) for code in range(low, high) if not 0xD800 <= code < 0xE000)
    return codes_of("".join(regex.findall(f"[{EXTENDERS}]", chars)))
