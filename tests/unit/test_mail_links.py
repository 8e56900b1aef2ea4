"""Signed links: what they stand for, and all that is refused in their place."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.email.keys import parse_keys
from pipelines.email.links import (
    TOKEN_CHARS_MAX,
    Click,
    Links,
    Unsubscription,
    encode,
    open_links,
    sign,
)
from pipelines.email.mailbox import hash_address, normalise

OLD, NEW = "old-" * 8, "new-" * 8
LINKS = Links("https://mail.example.com/", parse_keys(NEW))
EMAIL = UUID("00000000-0000-4000-8000-0000000000e1")
USER = UUID("00000000-0000-4000-8000-0000000000a1")
# Long enough to be read as any other kind of body, too.
TARGET = f"https://app.example.com/leads?id={'1' * 60}&tab=\u00fc#top"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def token_of(link: str, purpose: str) -> str:
    start = f"https://mail.example.com/e/{purpose}/"
    assert link.startswith(start)
    return link.removeprefix(start)


PIXEL = token_of(LINKS.pixel(EMAIL), "o")
CLICK = token_of(LINKS.click(EMAIL, TARGET, among=3), "c")
LEAVE = token_of(LINKS.unsubscribe("Max <Max@Example.com>", "tips", USER, email_id=EMAIL), "u")


def test_each_link_reads_as_what_it_was_made_of() -> None:
    assert LINKS.read_pixel(PIXEL) == EMAIL
    assert LINKS.read_click(CLICK) == Click(EMAIL, TARGET, 3)
    expected = Unsubscription(hash_address("max@example.com"), "tips", USER, EMAIL)
    assert LINKS.read_unsubscribe(LEAVE) == expected


def test_nobody_in_particular_reads_as_none() -> None:
    token = token_of(LINKS.unsubscribe("max@example.com", "tips", None), "u")

    read = LINKS.read_unsubscribe(token)

    assert read == Unsubscription(hash_address("max@example.com"), "tips", None, None)


def test_a_link_does_not_tell_the_address() -> None:
    assert encode(b"max@example.com")[2:-2] not in LEAVE
    assert b"max" not in LINKS.keys[0]


@pytest.mark.parametrize("token", [PIXEL, CLICK, LEAVE], ids=["pixel", "click", "unsubscribe"])
def test_a_token_serves_one_purpose(token: str) -> None:
    read = [LINKS.read_pixel(token), LINKS.read_click(token), LINKS.read_unsubscribe(token)]

    assert sum(each is not None for each in read) == 1


@pytest.mark.parametrize("token", [PIXEL, CLICK, LEAVE], ids=["pixel", "click", "unsubscribe"])
def test_every_changed_character_is_noticed(token: str) -> None:
    for place, old in enumerate(token):
        for new in ALPHABET if place == len(token) - 1 else "Ab-_9":
            if new != old:
                changed = f"{token[:place]}{new}{token[place + 1 :]}"
                assert refused(changed), (place, new)


@pytest.mark.parametrize("token", [PIXEL, CLICK, LEAVE], ids=["pixel", "click", "unsubscribe"])
def test_shortened_and_lengthened_tokens_are_refused(token: str) -> None:
    shorter = [token[:end] for end in range(len(token))]
    longer = [token + extra for extra in ("A", "AA", "AAAA", "=", "==", "\n", " ", "/", "%00")]

    assert all(refused(each) for each in shorter + longer)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "=",
        "A" * (TOKEN_CHARS_MAX + 1),
        "A" * 100_000,
        "\u00e4" * 40,
        "../../admin",
        "\x00" * 40,
    ],
)
def test_junk_is_refused(token: str) -> None:
    assert refused(token)


def test_an_oversized_token_is_refused_though_we_signed_it() -> None:
    body = hash_address("max@example.com") + USER.bytes + EMAIL.bytes + b"a" * TOKEN_CHARS_MAX

    assert LINKS.read_unsubscribe(encode(sign(LINKS.keys[0], "u", body) + body)) is None


@given(st.text(max_size=200))
def test_nothing_made_up_is_ours(token: str) -> None:
    assert refused(token)


def refused(token: str) -> bool:
    return (
        LINKS.read_pixel(token) is None
        and LINKS.read_click(token) is None
        and LINKS.read_unsubscribe(token) is None
    )


def test_all_keys_verify_and_the_first_signs() -> None:
    old, both = (Links("https://mail.example.com", parse_keys(k)) for k in (OLD, f"{NEW},{OLD}"))

    assert both.read_pixel(token_of(old.pixel(EMAIL), "o")) == EMAIL
    assert both.pixel(EMAIL) == Links("https://mail.example.com", parse_keys(NEW)).pixel(EMAIL)
    assert old.read_pixel(token_of(both.pixel(EMAIL), "o")) is None


def test_without_keys_no_token_is_ours() -> None:
    closed = Links("", ())

    assert closed.read_pixel(PIXEL) is None
    assert closed.read_click(CLICK) is None


def test_mails_carry_links_only_where_both_settings_are_there() -> None:
    assert open_links("https://mail.example.com", NEW) == Links(
        "https://mail.example.com", parse_keys(NEW)
    )
    assert open_links(None, NEW) is None
    assert open_links("https://mail.example.com", None) is None


def test_a_short_key_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match=r"key 2 has 6 characters") as refusal:
        parse_keys(f"{NEW},secret")

    assert "secret" not in str(refusal.value)


TARGETS_REFUSED = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "ftp://example.com/",
    "mailto:max@example.com",
    "//evil.example/",
    "/leads",
    "https://",
    "https:///path",
    "https:evil.example",
    "https://example.com/\r\nSet-Cookie: a=b",
    "https://example.com/\nLocation: https://evil.example",
    "https://example.com/\x00",
    "https://example.com/ a",
    "https://example.com\\@evil.example/",
    "https://example.com/\u2028",
    "https://example.com:99999/",
    "https://[::1/",
    "https://b\u00fccher.example/",
    "https://example.com/\ud800",
    f"https://example.com/{'a' * 2_000}",
    "",
]


@pytest.mark.parametrize("url", TARGETS_REFUSED)
def test_a_link_to_anything_but_plain_http_is_never_signed(url: str) -> None:
    with pytest.raises(ValueError, match="http"):
        LINKS.click(EMAIL, url)


@pytest.mark.parametrize("url", [url for url in TARGETS_REFUSED if "\ud800" not in url])
def test_nor_followed_if_it_were_signed(url: str) -> None:
    body = EMAIL.bytes + b"\x01" + url.encode()
    token = encode(sign(LINKS.keys[0], "c", body) + body)

    assert LINKS.read_click(token) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTP://EXAMPLE.COM:8080/a?b=c&d=%20#e",
        "https://xn--bcher-kva.example/\u00fc",
        "http://[2001:db8::1]/",
        f"https://example.com/{'a' * 1_900}",
    ],
)
def test_plain_addresses_are_followed_as_they_are(url: str) -> None:
    click = LINKS.read_click(token_of(LINKS.click(uuid4(), url), "c"))

    assert click is not None
    assert click.target == url


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("Max@Example.COM", "max@example.com"),
        (" Max M\u00fcller <max@b\u00fccher.example> ", "max@xn--bcher-kva.example"),
        ("max@B\u00dcCHER.example", "max@xn--bcher-kva.example"),
        ("max@xn--bcher-kva.example", "max@xn--bcher-kva.example"),
        ('"Doe, Jane" <jane+a@example.com>', "jane+a@example.com"),
        ("no address", "no address"),
    ],
)
def test_an_address_has_one_spelling(address: str, expected: str) -> None:
    assert normalise(address) == expected
    assert normalise(expected) == expected
