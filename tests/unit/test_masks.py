"""Nothing that a stranger wrote bends a page, and no address of anybody is on it."""

import pytest

from workers.dashboard import masks


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://user:pass@shop.example/in?key=1#x", "shop.example/in?\u2026"),
        ("https://shop.example/help", "shop.example/help"),
        ("javascript:alert(1)", "javascript:\u2026"),
        ("data:text/html,<script>", "data:\u2026"),
        ("tariff.pdf", "tariff.pdf"),
        ("https://[broken", "(no address)"),
        (None, ""),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(given: str | None, shown: str) -> None:
    assert masks.url(given) == shown


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("jane@example.com", "j***@example.com"),
        ("Jane Doe <jane@example.com>", "j***@example.com"),
        ("nobody", "***"),
        (None, "***"),
        ("a" * 100_000, "***"),
    ],
)
def test_a_reader_is_hidden(given: str | None, shown: str) -> None:
    assert masks.address(given) == shown


def test_a_text_keeps_its_words_and_loses_its_addresses() -> None:
    said = masks.addresses("550 5.1.1 <jane.doe+x@mail.example>: no such user, ask tom@b.example")

    assert said == "550 5.1.1 <j***@mail.example>: no such user, ask t***@b.example"


def test_marks_that_turn_the_writing_round_are_gone() -> None:
    assert masks.cut("exe.\u202egnp\x00\x1b[31m\u200b end") == "exe. gnp [31m end"


def test_a_long_text_ends() -> None:
    assert len(masks.cut("x" * 1_000_000)) == masks.TEXT_CHARS_MAX
    assert masks.name("\u200b\n") == "(no name)"
