"""A message as words that the model knows: emojis by name, no addresses, no drawn-out letters."""

import re
import unicodedata

from pipelines.sentiment.judgement import TEXT_CHARS_MAX, cut

_SMILE = re.compile(r"(?<!\w)(?:[:;=8x]['’]?-?[)\]D3*pP]+|\^_*\^|<3+|\(:)(?!\w)")
_FROWN = re.compile(r"(?<!\w)(?:[:;=]['’]?-?[(\[/\\|@]+|D:|-_+-|\):)(?!\w)")
_ADDRESS = re.compile(r"https?:\S+|www\.\S+|\bhttp\b")
_HANDLE = re.compile(r"@\w+|\[(?:name|religion)\]", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d.,:/-]*")
_DRAWN_OUT = re.compile(r"(\w)\1{2,}")
_LETTER = re.compile(r"[^\W\d_]")
_LETTERS = re.compile(r"[^\W\d_]+")
_PLACEHOLDERS = re.compile(r"\b(?:url|user)\b")
# The smallest code point of general punctuation; all emojis lie above it.
_PICTURES_FROM = "\u2000"


def normalise(text: str) -> str:
    """Lower-case words, one space apart; at most TEXT_CHARS_MAX characters."""
    text = unicodedata.normalize("NFKC", cut(text))[:TEXT_CHARS_MAX]
    text = _HANDLE.sub(" user ", _ADDRESS.sub(" url ", text))
    text = _FROWN.sub(" frowning face ", _SMILE.sub(" smiling face ", text))
    text = spell_pictures(text).lower().replace("’", "'")
    text = _NUMBER.sub("0", _DRAWN_OUT.sub(r"\1\1", text))
    return " ".join(text.split())[:TEXT_CHARS_MAX]


def keep_letters(text: str) -> str:
    """The letters of a text as they stand there: none of its addresses, handles or emojis."""
    text = _HANDLE.sub(" ", _ADDRESS.sub(" ", cut(text)))
    return " ".join(_LETTERS.findall(text))


def spell_pictures(text: str) -> str:
    """Emojis become their Unicode names; what joins, hides or colours characters goes."""
    return text if text.isascii() else "".join(map(_spell, text))


def _spell(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Cf" or "\ufe00" <= char <= "\ufe0f":
        return ""
    if char < _PICTURES_FROM or category not in {"So", "Sk"}:
        return char
    name = unicodedata.name(char, "").lower()
    return "" if "fitzpatrick" in name else f" {name} "


def has_words(normalised: str) -> bool:
    """Tell whether anything but numbers, addresses and punctuation is left."""
    return _LETTER.search(_PLACEHOLDERS.sub("", normalised)) is not None
