import pytest

from pipelines.knowledge.charset import decode_html, decode_text, find_codec

JAPANESE = "営業時間のお知らせ。平日は午前九時から午後六時まで営業しています。"
SIMPLIFIED = "营业时间：周一至周五上午九点到下午六点，欢迎光临。"
TRADITIONAL = "營業時間：週一至週五上午九點到下午六點，歡迎光臨。"
KOREAN = "영업시간은 평일 오전 아홉시부터 오후 여섯시까지입니다."
RUSSIAN = "Наши часы работы: с понедельника по пятницу."
GERMAN = "Öffnungszeiten: täglich für Sie geöffnet – “Grüße”"
POLISH = "Godziny otwarcia: poniedziałek i piątek, świetna obsługa"
GREEK = "Ώρες λειτουργίας: Δευτέρα έως Παρασκευή"
TURKISH = "Çalışma saatleri: Pazartesi ve Cuma, öğle arası yok"
HEBREW = "שעות הפתיחה: ראשון עד חמישי"
ARABIC = "ساعات العمل من الأحد إلى الخميس"
THAI = "เวลาทำการ วันจันทร์ถึงวันศุกร์ เก้าโมงเช้า"

WRITTEN = [
    *((JAPANESE, charset) for charset in ("shift_jis", "euc_jp", "iso2022_jp")),
    *((SIMPLIFIED, charset) for charset in ("gb18030", "gbk")),
    (TRADITIONAL, "big5"),
    (KOREAN, "euc_kr"),
    *((RUSSIAN, charset) for charset in ("cp1251", "koi8_r", "iso8859_5", "cp866")),
    (GERMAN, "cp1252"),
    *((POLISH, charset) for charset in ("cp1250", "iso8859_2")),
    *((GREEK, charset) for charset in ("cp1253", "iso8859_7")),
    (TURKISH, "cp1254"),
    (HEBREW, "cp1255"),
    *((ARABIC, charset) for charset in ("cp1256", "iso8859_6")),
    (THAI, "cp874"),
    *(
        (text, charset)
        for text in (JAPANESE, SIMPLIFIED, KOREAN, RUSSIAN, GERMAN, THAI)
        for charset in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")
    ),
]


@pytest.mark.parametrize(("text", "charset"), WRITTEN)
def test_the_charset_is_found_when_nobody_declares_it(text: str, charset: str) -> None:
    assert decode_text(text.encode(charset)) == text


@pytest.mark.parametrize(("text", "charset"), WRITTEN)
def test_the_charset_is_found_when_it_is_declared(text: str, charset: str) -> None:
    assert decode_text(text.encode(charset), charset.replace("_", "-")) == text


@pytest.mark.parametrize(("text", "charset"), WRITTEN)
def test_a_wrong_declaration_of_utf_8_does_not_mislead(text: str, charset: str) -> None:
    assert decode_text(text.encode(charset), "utf-8") == text


@pytest.mark.parametrize(
    ("text", "charset"), [(t, c) for t, c in WRITTEN if t not in (TURKISH, POLISH)]
)
def test_a_servers_default_of_latin_1_does_not_mislead(text: str, charset: str) -> None:
    assert decode_text(text.encode(charset), "ISO-8859-1") == text


def test_latin_1_means_windows_1252_on_the_web() -> None:
    assert decode_html(b"<p>\x93caf\xe9\x94 \x80 5", "iso-8859-1") == "<p>“café” € 5"


def test_a_page_may_name_its_charset_itself() -> None:
    page = f'<meta http-equiv="Content-Type" content="text/html; charset=EUC-KR"><p>{KOREAN}'

    assert KOREAN in decode_html(page.encode("euc_kr"))


def test_the_language_of_a_page_decides_between_charsets() -> None:
    short = "Łódź".encode("iso8859_2")

    assert "Łódź" in decode_html(b'<html lang="pl"><p>' + short)


def test_stray_bytes_in_utf_8_are_read_as_windows_1252() -> None:
    body = "Die schöne Müllerin wünscht Größe und Süße für alle ".encode() + b"\x93caf\xe9\x94"

    assert decode_text(body).endswith("für alle “café”")


def test_a_cut_character_at_the_end_does_not_change_the_charset() -> None:
    assert decode_text((JAPANESE * 3).encode()[:-1]).startswith(JAPANESE * 2)


def test_a_codec_that_is_no_charset_is_not_used() -> None:
    assert find_codec("utf-7") is None
    assert find_codec("unicode_escape") is None
    assert find_codec("rot13") is None
    assert find_codec("no-such-charset") is None
    assert decode_text(b"+ADw-b+AD4-", "utf-7") == "+ADw-b+AD4-"


def test_ascii_text_is_not_taken_for_utf_16() -> None:
    assert decode_text(b"Bush hid the facts") == "Bush hid the facts"
    assert decode_text(b"ab\0cd") == "abcd"
