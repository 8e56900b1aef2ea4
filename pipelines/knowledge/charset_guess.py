"""Guess the charset of text that does not name it, by how common its letters would be."""

import unicodedata
from collections import Counter
from functools import lru_cache

SAMPLE_BYTES_MAX = 16_000
SAMPLE_CHARS_MAX = 4_000
# Ordered: of two that read a text equally well, the earlier one is meant.
CANDIDATES = (
    "cp1252",
    "cp932",
    "gb18030",
    "big5hkscs",
    "euc_jp",
    "cp949",
    "cp1251",
    "koi8_r",
    "cp1250",
    "iso8859_2",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "cp874",
    "iso8859_7",
    "iso8859_5",
    "iso8859_6",
    "cp1257",
    "koi8_u",
    "cp866",
    "mac_cyrillic",
    "cp855",
)
LANGUAGE_CHARSETS = {
    "ja": ("cp932", "euc_jp"),
    "zh": ("gb18030", "big5hkscs"),
    "ko": ("cp949",),
    "ru": ("cp1251", "koi8_r", "iso8859_5", "cp866", "mac_cyrillic"),
    "uk": ("cp1251", "koi8_u"),
    "bg": ("cp1251", "iso8859_5"),
    "sr": ("cp1251",),
    "be": ("cp1251",),
    "mk": ("cp1251",),
    "el": ("cp1253", "iso8859_7"),
    "tr": ("cp1254",),
    "he": ("cp1255",),
    "ar": ("cp1256",),
    "fa": ("cp1256",),
    "ur": ("cp1256",),
    "th": ("cp874",),
    "lt": ("cp1257",),
    "lv": ("cp1257",),
    "et": ("cp1257", "cp1252"),
    **dict.fromkeys(("cs", "sk", "pl", "hu", "hr", "sl", "ro", "sq"), ("cp1250", "iso8859_2")),
    **dict.fromkeys(
        ("en", "de", "fr", "es", "pt", "it", "nl", "da", "sv", "no", "nb", "fi", "is", "ca"),
        ("cp1252",),
    ),
}
LANGUAGE_BONUS = 0.6
LATIN_WORTH = 2.2

_HAN = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"
    "用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实"
    "日军者意无力它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政"
    "美相见被利什二等产或新己制身果加西月话合回特代内信表化老给世位次度门任常先海通教原东声提立及比员解水"
    "名真论处走义各入几口认条平系气题活更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期"
    "市直资命山金指许统区保至形社便空决治展科司五基书非则白界达光放强难权思完设式色路记南品住告类求据程北"
    "边该交规万取格望术领共确传师观清今院让识候带导争运这店版价格服务客户产品网站首页联系电话地址公司"
    "這個們來為國說時會對發後著過裡種經麼學當沒動還進樣從實軍無與長機關點業將兩間問應戰體見產話給門東聲"
    "員論處義認條氣題變總電數報結務場計資許統區隊決馬書聽卻達難權設記類據邊該規萬覺術領確傳師觀讓識帶導"
    "爭運請網頁聯絡價錢費服務營業時間客戶您臺灣香港語言號"
    "円時間営業料金月火水木金土午前後定休駅店舗送料配達注文予約案内問合電話番号株式会社様御"
)
_HANGUL = (
    "이다는의가을에고하지한로를도서은사기어자대시리인아해전나수정일그보있스들부상조주제라장구원와과관면성여만"
    "공국화동경계신용안게우소비니적물통세무실했습까오모중위연으바당치학내개회문요진선선방분생유드각의결트입업"
    "없않같것수때및등년월일번더매간체할된되될없저점금액배송문의영업시간가격무료"
)
_LOWER = {
    "CYRILLIC": "оеаинтсрвлкмдпуяыьгзбчйхжшюіїєцщэфъё",
    "GREEK": "αοιεστνηυρπκμλωςδγάέήίόύώχθφβ",
    "HEBREW": "יוהלאתרבשמנדחקכםפעגטסזןצךףץ",
    "ARABIC": "اليمنرتوبةعدسفحهكقجشطصخزضذثئىأإغءظؤآپچژگکی",
}
_COMMON_SIGNS = frozenset("“”‘’„–—…«»°·•™®©£§½²№ ")
_RARE_SIGNS = frozenset("¤¦¨¬¯µ¶¸¹¼¾×÷¡¿ªº³±´")
_ALPHABETS = tuple(
    map(
        frozenset,
        (
            *("éèêàâçîïôûùëüœæ", "äöüß", "áéíóúñü", "áâãàçéêíóôõúü", "àèéìòùî", "éëïöüè", "åäöé"),
            *("åæøé", "áðéíóúýþæö", "àçéèíïóòúü", "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "čćđšž"),
            *("áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţșț", "çğıöşüâîû", "ąčęėįšųūž"),
            *("āčēģīķļņšūž", "äõöüšž"),
        ),
    )
)
_THAI_COMMON = frozenset("านรกเงมยลวดทสตอะปบแคหพชขจไใโ่้ิีัื็ุูำ์ผ")
_THAI_ABOVE = frozenset("ัิีึืฺุู็่้๊๋์ํ๎")


def guess_charset(body: bytes, *, language: str | None = None) -> str:
    """The Python codec that makes the most usual text of the bytes; `language` leans the scale."""
    sample = _take_sample(body)
    favoured = LANGUAGE_CHARSETS.get(language or "", ())
    best, best_score = CANDIDATES[0], float("-inf")
    for charset in CANDIDATES:
        score = _score(sample, charset) + (LANGUAGE_BONUS if charset in favoured else 0.0)
        if score > best_score:
            best, best_score = charset, score
    return best


def score_charset(body: bytes, charset: str) -> float:
    """How usual the text is that the charset makes of the bytes: 2 and more is right."""
    return _score(_take_sample(body), charset)


def rate_usualness(character: str) -> float:
    """1 for what most texts of its script hold, less for the uncommon, -1 for the rare."""
    if character <= "\x7f":
        return 1.0 if character.isprintable() or character.isspace() else -1.0
    if character.lower() in _LATIN:
        return 1.0
    worth = _worth(character)
    return 1.0 if worth >= 1.0 else 0.6 if worth > 0 else -1.0


def _take_sample(body: bytes) -> bytes:
    """Lines with bytes beyond ASCII, so that markup and scripts do not fill the sample."""
    lines = [line for line in body[:2_000_000].split(b"\n") if not line.isascii()]
    return b"\n".join(lines)[:SAMPLE_BYTES_MAX]


def _score(sample: bytes, charset: str) -> float:
    """The mean worth of the characters beyond ASCII, and how they sit among the others."""
    text = sample.decode(charset, "replace")
    total, count, before = 0.0, 0, " "
    latin: Counter[str] = Counter()
    for character in text:
        if character > "\x7f":
            total += _worth(character) + _fit(before, character)
            count += 1
            if character.lower() in _LATIN:
                latin[character.lower()] += 1
            if count == SAMPLE_CHARS_MAX:
                break
        elif before > "\u0370" and character.isalpha() and before.isalpha():
            total += _fit(character, before)
        before = character
    return (total + LATIN_WORTH * _count_in_one_alphabet(latin)) / count if count else 0.0


def _count_in_one_alphabet(latin: Counter[str]) -> int:
    """Letters of two languages together are a sign of the wrong charset."""
    counts = (sum(latin[letter] for letter in alphabet) for alphabet in _ALPHABETS)
    return max(counts) if latin else 0


@lru_cache(maxsize=70_000)
def _worth(character: str) -> float:
    code = ord(character)
    if 0x3040 <= code <= 0x30FF:
        return 3.0
    if 0x3000 <= code <= 0x303F or 0xFF01 <= code <= 0xFF5E:
        return 2.0
    if 0x4E00 <= code <= 0x9FFF:
        return 3.0 if character in _HAN_SET else 0.5 if _is_plain_han(character) else -2.0
    if 0xAC00 <= code <= 0xD7A3:
        return 3.0 if character in _HANGUL_SET else 0.5 if _is_plain_hangul(character) else -2.0
    if 0x0E00 <= code <= 0x0E7F:
        return 1.8 if character in _THAI_COMMON else -1.0
    if character in "£€":
        return 2.3
    if character in _COMMON_SIGNS:
        return 1.0
    return -0.5 if character in _RARE_SIGNS else _worth_of_letter(character)


def _worth_of_letter(character: str) -> float:
    name = unicodedata.name(character, "")
    script = name.partition(" ")[0]
    if script == "LATIN":
        return 0.0 if character.lower() in _LATIN else -0.5
    letters = _LOWER.get(script)
    if letters is not None:
        place = letters.find(character.lower())
        return -0.5 if place < 0 else 2.5 if place < 16 else 1.2
    return -3.0 if unicodedata.category(character)[0] in "CS" or not name else -1.5


def _fit(before: str, character: str) -> float:
    """What the character before says: capitals inside words and mixed scripts are wrong."""
    if character in _THAI_ABOVE:
        return 0.0 if "\u0e00" < before < "\u0e7f" else -4.0
    if not before.isalpha() or not character.isalpha():
        return 0.0
    if before.isascii() and "\u0370" < character < "\u1100":
        return -3.0
    return -3.0 if character.isupper() and before.islower() else 0.0


def _is_plain_han(character: str) -> bool:
    """Tell the level-1 characters of the old national standards from the rare rest."""
    gb = character.encode("gb2312", "ignore")
    big5 = character.encode("big5", "ignore")
    jis = character.encode("euc_jp", "ignore")
    return (
        (len(gb) == 2 and gb[0] < 0xD8)
        or (len(big5) == 2 and big5[0] < 0xC7)
        or (len(jis) == 2 and jis[0] < 0xD0)
    )


def _is_plain_hangul(character: str) -> bool:
    return len(character.encode("euc_kr", "ignore")) == 2


_LATIN = frozenset().union(*_ALPHABETS)
_HAN_SET = frozenset(_HAN)
_HANGUL_SET = frozenset(_HANGUL)
