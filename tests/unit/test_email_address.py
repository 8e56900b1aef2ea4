"""Addresses as people write them, and what is none."""

import pytest

from pipelines.email.address import Address, parse_address, read_words
from pipelines.errors import Permanent

LONG_DOMAIN = ".".join(["a" * 60] * 4)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("jane@example.com", Address("jane", "example.com")),
        (" jane@example.com ", Address("jane", "example.com")),
        ("Jane.Doe+tag@Example.COM", Address("Jane.Doe+tag", "example.com")),
        ("<jane@example.com>", Address("jane", "example.com")),
        ("Jane Döe <jane@exämple.de>", Address("jane", "xn--exmple-cua.de", "Jane Döe")),
        ('"Doe, Jane" <jane@example.com>', Address("jane", "example.com", "Doe, Jane")),
        ("Doe, Jane <jane@example.com>", Address("jane", "example.com", "Doe, Jane")),
        ('"a \\"b\\" c" <jane@example.com>', Address("jane", "example.com", 'a "b" c')),
        ('"jane@home" <jane@example.com>', Address("jane", "example.com", "jane@home")),
        ('"<b>" <jane@example.com>', Address("jane", "example.com", "<b>")),
        ("=?utf-8?q?J=C3=B6rg?= <j@example.com>", Address("j", "example.com", "Jörg")),
        ("\u0645\u062d\u0645\u062f <m@example.com>", Address("m", "example.com", "محمد")),
        ("👩\u200d💻 dev <d@example.com>", Address("d", "example.com", "👩\u200d💻 dev")),
        ("user@例え.jp", Address("user", "xn--r8jz45g.jp")),
        ("jane@xn--exmple-cua.de", Address("jane", "xn--exmple-cua.de")),
        ("jane@example.com.", Address("jane", "example.com")),
        ("root@localhost", Address("root", "localhost")),
        ("o'brien@example.com", Address("o'brien", "example.com")),
        ('"john doe"@example.com', Address('"john doe"', "example.com")),
        ('"a@b"@example.com', Address('"a@b"', "example.com")),
        ('"jane"@example.com', Address("jane", "example.com")),
        ("jörg@example.com", Address("jörg", "example.com")),
        ("jo\u0308rg@example.com", Address("jörg", "example.com")),
    ],
)
def test_what_people_write_is_understood(written: str, expected: Address) -> None:
    assert parse_address(written) == expected


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        ("jane", "has no @"),
        ("jane\uff20example.com", "has no @"),
        ("@example.com", "nothing before the @"),
        ("jane@", "nothing after the @"),
        ("jane@@example.com", "several addresses"),
        ("a@example.com, b@example.com", "several addresses"),
        ("a@example.com; b@example.com", "several addresses"),
        ("a@example.com,", "several addresses"),
        ('"A" <a@example.com>, "B" <b@example.com>', "several addresses"),
        ("a@example.com <b@example.com>", "several addresses"),
        ("friends: a@example.com;", "several addresses"),
        ("a@example.com\r\nBcc: b@example.com", "line break"),
        ("a@example.com\n", "line break"),
        ("A\nBcc: b@example.com <a@example.com>", "line break"),
        ("a\x00@example.com", "control character"),
        ("a@example.com\ud800", "control character"),
        ("a\u2028@example.com", "line break"),
        ("\u202egro.elpmaxe@a <a@example.com>", "mark of direction"),
        ("a\u200b@example.com", "invisible character"),
        ("a@exam\u00adple.com", "invisible character"),
        (".a@example.com", "before the @"),
        ("a..b@example.com", "before the @"),
        ("a b@example.com", "before the @"),
        ("Jane a@example.com", "before the @"),
        ("mailto:a@example.com", "before the @"),
        ("a@example..com", "no valid domain"),
        ("a@-example.com", "no valid domain"),
        ("a@exam ple.com", "no valid domain"),
        ("a@[192.0.2.1]", "no valid domain"),
        ("a@192.0.2.1", "a number after the @"),
        (f"a@{'b' * 64}.com", "no valid domain"),
        (f"{'a' * 65}@example.com", "65 bytes before the @, the limit is 64"),
        (f"{'ö' * 33}@example.com", "66 bytes before the @"),
        (f"{'a' * 30}@{LONG_DOMAIN}", "the limit is 254"),
        ("a" * 2000 + "@example.com", "the limit is 1,000"),
        ("<a@example.com", "do not match"),
        ("a@example.com>", "do not match"),
        ("<a@example.com> Jane", "do not match"),
    ],
)
def test_what_is_no_single_address_is_refused_and_says_why(written: str, words: str) -> None:
    with pytest.raises(Permanent) as caught:
        parse_address(written)

    message = str(caught.value)
    assert words in message
    assert message.isprintable()
    assert len(message) < 250


def test_a_name_that_was_encoded_twice_is_not_decoded_by_its_reader() -> None:
    inner = "=?utf-8?q?a=0aBcc=3a_b=40example.com?="
    encoded = f"=?utf-8?q?{''.join(f'={byte:02x}' for byte in inner.encode())}?="

    assert "=?" not in read_words(encoded)


@pytest.mark.parametrize("written", ["=?x-unknown?q?a?=", "=?utf-8?b?!?=", "=?utf-8?q?=FF?="])
def test_an_encoded_name_that_cannot_be_read_is_harmless(written: str) -> None:
    assert "=?" not in read_words(written)
