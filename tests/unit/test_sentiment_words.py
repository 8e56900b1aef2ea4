"""What the judge reads in a message before it judges: words, turns, language, topics, keywords."""

from zlib import crc32

import pytest

from pipelines.sentiment.grams import GRAMS, hash_grams
from pipelines.sentiment.keywords import find_keywords
from pipelines.sentiment.local_judge import LocalJudge
from pipelines.sentiment.topics import TOPICS, find_topics
from pipelines.sentiment.turn import find_end
from pipelines.sentiment.valence import weigh
from pipelines.sentiment.wording import has_words, normalise

LEXICON = {"good": 0.7, "bad": -0.7, "help": 0.4}


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("Sooooo   GOOD", "soo good"),
        ("see https://a.example/b and www.b.example", "see url and url"),
        ("@anna thanks :)", "user thanks smiling face"),
        ("why :-(", "why frowning face"),
        ("👍🏽", "thumbs up sign"),
        ("u\u200bseless", "useless"),
        ("order 12.500,00", "order 0"),
        ("Ｆｕｌｌ", "full"),
        ("\ud83d\0", "?"),
    ],
)
def test_a_message_becomes_plain_words(text: str, normalised: str) -> None:
    found = normalise(text)

    assert found == normalised


@pytest.mark.parametrize(
    ("text", "is_wordy"), [("0 url user", False), ("? ! .", False), ("ok", True), ("谢", True)]
)
def test_numbers_and_addresses_are_no_words(text: str, is_wordy: bool) -> None:
    found = has_words(text)

    assert found == is_wordy


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("thanks, but it still fails", "it still fails"),
        ("danke, aber es geht nicht", "es geht nicht"),
        ("good idea. unfortunately it broke", "it broke"),
        ("nothing but praise from me", "nothing but praise from me"),
        ("it is slow but", "it is slow but"),
        ("hi, where is my order?", "where is my order?"),
        ("good morning", "good morning"),
    ],
)
def test_what_follows_a_turn_is_what_is_meant(text: str, end: str) -> None:
    found = find_end(text)

    assert found == end


def test_words_are_weighed_by_what_stands_before_them() -> None:
    good, very_good, not_good, turned, nothing = (
        weigh(text.split(), LEXICON).total
        for text in ("good", "very good", "not good", "good but bad", "table")
    )

    assert not_good < nothing == 0 < good < very_good
    assert turned < 0


def test_a_negated_word_has_a_gram_of_its_own() -> None:
    other_words = set(hash_grams("it is good not"))

    denied = set(hash_grams("it is not good"))

    assert crc32(b"n=good") % GRAMS in denied - other_words
    assert all(0 <= gram < GRAMS for gram in denied)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where can I find my invoice?", "en"),
        ("useless", "en"),
        ("Hi", "en"),
        ("I want to speak to a manager.", "en"),
        ("Ich warte seit Tagen auf meine Rechnung", "de"),
        ("¿Dónde está mi pedido?", "es"),
        ("Je voudrais annuler ma commande", "fr"),
        ("Vorrei sapere quando arriva il mio pacco", "it"),
        ("Gostaria de saber onde está o meu pedido", "pt"),
        ("Ik wacht al een week op mijn pakket", "nl"),
        ("Gdzie jest moja paczka?", "pl"),
        ("أين طلبي؟", "ar"),
        ("मेरा ऑर्डर कहाँ है", "hi"),
        ("где мой заказ", "ru"),
        ("注文はどこですか", "ja"),
        ("我的订单在哪里", "zh"),
        ("12345", None),
    ],
)
def test_the_language_of_a_short_message_is_told(text: str, language: str | None) -> None:
    judgement = LocalJudge().judge([text])[0]

    assert judgement.language == language


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("i was charged twice on my last invoice", "billing"),
        ("i want my money back", "refund"),
        ("my parcel has not been delivered", "delivery"),
        ("i can't log in, the password is rejected", "account"),
        ("the app crashes with an error", "bug"),
        ("how much does the pro plan cost?", "pricing"),
        ("please cancel my membership", "cancellation"),
        ("could you add a dark mode?", "feature request"),
        ("wo ist mein paket?", "delivery"),
    ],
)
def test_a_message_is_filed_under_what_it_is_about(text: str, topic: str) -> None:
    found = find_topics(text, is_negative=True)

    assert found[0] == topic
    assert set(found) <= set(TOPICS)


def test_a_complaint_is_no_praise() -> None:
    found = find_topics("thanks, i love waiting for the great refund", is_negative=True)

    assert not {"praise", "thanks"} & set(found)


def test_keywords_are_the_phrases_between_common_words() -> None:
    found = find_keywords("The export button of the sales report is grey since the last update.")

    assert found[:2] == ("export button", "sales report")
    assert "update" in " ".join(found)


def test_keywords_hold_no_addresses_and_no_numbers() -> None:
    found = find_keywords("Mail anna@example.com or see https://example.com/x about 4711")

    assert found == ("mail",)
