"""The language of a text, told by its script and its commonest words; cheap, not certain."""

import re
from collections import Counter

SAMPLE_CHARS = 6_000
LETTERS_MIN = 20
SCRIPT_SHARE_MIN = 0.3
# A text is in a language when this share of its words, and so many different ones, are among
# the commonest of it.
STOPWORD_SHARE_MIN = 0.12
STOPWORDS_MIN = 3
# What a page declares is overruled by so many common words of another language.
CONTRADICTION_WORDS_MIN = 12
CONTRADICTION_RATIO_MIN = 3
LATIN_SHARE_MIN = 0.95

_SCRIPTS = re.compile(
    r"(?P<kana>[\u3041-\u30ff])|(?P<han>[\u4e00-\u9fff])|(?P<ko>[\uac00-\ud7a3\u1100-\u11ff])"
    r"|(?P<th>[\u0e01-\u0e4e])|(?P<arabic>[\u0620-\u06ff])|(?P<he>[\u05d0-\u05ea])"
    r"|(?P<el>[\u0370-\u03ff])|(?P<cyrillic>[\u0400-\u04ff])|(?P<hi>[\u0900-\u097f])"
    r"|(?P<bn>[\u0980-\u09ff])|(?P<ta>[\u0b80-\u0bff])|(?P<ka>[\u10d0-\u10ff])"
    r"|(?P<hy>[\u0531-\u0587])|(?P<latin>[A-Za-z\u00c0-\u024f])"
)
_STOPWORDS = {
    language: frozenset(words.split())
    for language, words in (
        ("en", "the of and to in is that for it you with on are this be as at your have or we"),
        ("de", "der die das und ist nicht ein eine zu den mit von für auf sich im wir sie dem des"),
        ("fr", "le la les des et est un une du dans pour que qui pas vous nous sur au avec ce"),
        ("es", "el la los las de que y en un una es por con para su se lo del al no como más"),
        ("pt", "o os as de que e em um uma é por com para não se da do na no mais ao você"),
        ("it", "il lo gli di che e un una è per con non del della nel sono si al dei più le"),
        ("nl", "de het een en van is niet dat op te voor met zijn aan er ook om wij je bij u"),
        ("pl", "i w na z się nie do że jest to jak o dla po od przez są oraz lub czy ze"),
        ("cs", "a v na se je že s z do o i pro jako ale by to jsou nebo při které ve"),
        ("hu", "a az és hogy nem is egy ez van meg csak el vagy ha már még mint ki de volt"),
        ("ro", "și de la în cu pe nu un o este care din mai sau pentru se ce prin sunt al"),
        ("sv", "och i att det som en på är av för med till den har inte om ett vi kan du"),
        ("da", "og i at det som en på er af for med til den har ikke om et vi kan der du"),
        ("fi", "ja on ei se että oli hän mutta ovat joka myös kun tai voi sen niin kuin ole"),
        ("tr", "ve bir bu için de da ile çok ne gibi daha olarak en olan var kadar sonra ya"),
        ("id", "yang dan di dengan untuk tidak ini dari dalam itu akan pada juga ke adalah"),
        ("vi", "và của là có cho không được với trong một các những người này đã để khi"),
    )
}
_SHARED_SCRIPTS = (
    frozenset({"ru", "uk", "be", "bg", "sr", "mk", "kk", "ky", "mn", "tg", "tt", "bs"}),
    frozenset({"ar", "fa", "ur", "ps", "ckb", "sd", "ug", "ks"}),
    frozenset({"hi", "mr", "ne", "sa", "mai", "kok", "bho"}),
    frozenset({"he", "yi"}),
    frozenset({"bn", "as"}),
    frozenset({"zh", "yue", "wuu"}),
    *(frozenset({one}) for one in ("ja", "ko", "th", "el", "ta", "ka", "hy")),
)
_TWO_SCRIPTS = frozenset({"sr", "bs", "kk"})
_WORD = re.compile(r"[^\W\d_]+")


def choose_language(text: str, *, declared: str | None) -> str | None:
    """The declared language, unless the text contradicts it; else the detected one.

    Templates often say `en` on pages in Japanese or German.
    """
    script = detect_by_script(text)
    if script is not None:
        return declared if _shares_script(declared, script) else script
    if declared in _STOPWORDS or (declared and _uses_latin(declared)):
        other = detect_by_words(text)
        is_wrong = other and other != declared and _is_far_ahead(text, other, declared)
        return other if is_wrong else declared
    return detect_by_words(text) or (declared if not _uses_latin_mostly(text) else None)


def _shares_script(declared: str | None, script: str) -> bool:
    """A script tells several languages apart less surely than the page's own word."""
    groups = (group for group in _SHARED_SCRIPTS if script in group)
    return declared is not None and any(declared in group for group in groups)


def _uses_latin(language: str) -> bool:
    return language in _TWO_SCRIPTS or not any(language in group for group in _SHARED_SCRIPTS)


def _uses_latin_mostly(text: str) -> bool:
    counts = Counter(match.lastgroup for match in _SCRIPTS.finditer(text[:SAMPLE_CHARS]))
    return counts["latin"] >= max(LETTERS_MIN, LATIN_SHARE_MIN * counts.total())


def _is_far_ahead(text: str, language: str, declared: str) -> bool:
    """Tell whether a text's commonest words are of the language and not of the declared one."""
    words = _WORD.findall(text[:SAMPLE_CHARS].lower())
    ours = sum(map(_STOPWORDS[language].__contains__, words))
    theirs = sum(map(_STOPWORDS.get(declared, frozenset()).__contains__, words))
    return ours >= CONTRADICTION_WORDS_MIN and ours >= CONTRADICTION_RATIO_MIN * theirs


def detect_by_script(text: str) -> str | None:
    """The language of a script that belongs to one, or nearly; None for the Latin script."""
    counts = Counter(match.lastgroup for match in _SCRIPTS.finditer(text[:SAMPLE_CHARS]))
    total = counts.total()
    if total < LETTERS_MIN:
        return None
    if counts["kana"] + counts["han"] >= SCRIPT_SHARE_MIN * total:
        return "ja" if counts["kana"] > 0.1 * counts["han"] else "zh"
    script = next((s for s, n in counts.items() if n >= (1 - SCRIPT_SHARE_MIN) * total), None)
    if script == "cyrillic":
        return _tell_cyrillic(text)
    if script == "arabic":
        return _tell_arabic(text)
    return script if script and len(script) == 2 else None


def _tell_cyrillic(text: str) -> str:
    letters = Counter(text[:SAMPLE_CHARS].lower())
    if letters["і"] + letters["ї"] + letters["є"] > letters["ы"] + letters["э"]:
        return "be" if letters["ў"] else "uk"
    if letters["ы"] + letters["э"]:
        return "ru"
    return "sr" if letters["ј"] else "bg" if letters["ъ"] else "ru"


def _tell_arabic(text: str) -> str:
    letters = Counter(text[:SAMPLE_CHARS])
    if letters["ے"] + letters["ٹ"] + letters["ں"]:
        return "ur"
    return "fa" if letters["پ"] + letters["چ"] + letters["گ"] + letters["ی"] else "ar"


def detect_by_words(text: str) -> str | None:
    words = _WORD.findall(text[:SAMPLE_CHARS].lower())
    counts = Counter(
        {language: sum(map(known.__contains__, words)) for language, known in _STOPWORDS.items()}
    )
    if not words:
        return None
    (language, hits), (_, second) = counts.most_common(2)
    is_clear = hits >= STOPWORD_SHARE_MIN * len(words) and hits > second
    different = len(_STOPWORDS[language].intersection(words))
    return language if is_clear and different >= STOPWORDS_MIN else None
