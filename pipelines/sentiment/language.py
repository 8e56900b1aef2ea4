"""The language of a message, which is often a word or two: by script, else by pieces of words."""

import unicodedata
from collections import Counter

import numpy as np

from pipelines.sentiment.linear import Linear

ENGLISH = "en"
# Those whose messages the model has learnt from; of the second kind it saw a few phrases only.
LEARNT = frozenset({"en", "de", "es", "fr", "it", "pt", "ar", "hi"})
GLIMPSED = frozenset("nl pl sv da tr ro cs hu fi id vi ru uk".split())
LATIN_LANGUAGES = tuple(sorted((LEARNT | GLIMPSED) - {"ar", "ru", "uk"}))
SURE_MIN = 0.5
# Most messages are in English: where no language is sure, less is enough for it.
ENGLISH_MIN = 0.33
# So many letters tell a script; English words stand in texts of all languages.
LETTERS_SEEN_MAX = 400
OTHER_SCRIPT_SHARE_MIN = 0.3
LANGUAGE_GRAMS = 1 << 15

# Short words of several languages.
_ENGLISH_ALONE = frozenset({"hi", "no", "super"})
_SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "ARABIC": "ar",
    "DEVANAGARI": "hi",
    "CYRILLIC": "ru",
    "GREEK": "el",
    "HEBREW": "he",
    "THAI": "th",
    "BENGALI": "bn",
    "TAMIL": "ta",
    "TELUGU": "te",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
}
_UKRAINIAN = frozenset("іїєґ")
_PERSIAN = frozenset("پچژگ")
_URDU = frozenset("ٹڈڑےں")


def tell_language(letters: str, grams: list[int], pieces: Linear) -> str | None:
    """An ISO 639-1 code; None where nothing speaks for any. `pieces` answers LATIN_LANGUAGES."""
    script = tell_script(letters)
    if script is None or script != "LATIN":
        return script and _tell_by_script(script, letters.lower())
    if letters.lower() in _ENGLISH_ALONE:
        return ENGLISH
    answers = pieces.answer(grams)
    shares = np.exp(answers - answers.max())
    shares /= shares.sum()
    best = int(shares.argmax())
    if shares[best] >= SURE_MIN:
        return LATIN_LANGUAGES[best]
    return ENGLISH if shares[LATIN_LANGUAGES.index(ENGLISH)] >= ENGLISH_MIN else None


def tell_script(text: str) -> str | None:
    """The script as Unicode names it, None for a text without letters."""
    letters = [char for char in text[: 2 * LETTERS_SEEN_MAX] if char.isalpha()][:LETTERS_SEEN_MAX]
    counts = Counter(_name_script(char) for char in letters)
    if not counts:
        return None
    others = [(count, name) for name, count in counts.items() if name != "LATIN"]
    count, name = max(others, default=(0, "LATIN"))
    return name if count >= OTHER_SCRIPT_SHARE_MIN * counts.total() else "LATIN"


def _name_script(char: str) -> str:
    if char < "\u0250":
        return "LATIN"
    return unicodedata.name(char, "UNKNOWN").split()[0]


def _tell_by_script(script: str, text: str) -> str | None:
    used = set(text)
    if script == "CYRILLIC":
        return "uk" if used & _UKRAINIAN else "ru"
    if script == "ARABIC":
        return "ur" if used & _URDU else "fa" if used & _PERSIAN else "ar"
    if script == "CJK" and tell_kana(text):
        return "ja"
    return _SCRIPTS.get(script)


def tell_kana(text: str) -> bool:
    return any("\u3041" <= char <= "\u30ff" for char in text[: 2 * LETTERS_SEEN_MAX])
