"""What tracking adds to a mail, and what it leaves alone."""

import html
import re
from dataclasses import replace
from uuid import UUID

import pytest

from pipelines.email.keys import parse_keys
from pipelines.email.links import Click, Links
from pipelines.email.render import Rendered
from pipelines.email.track import HTML_BYTES_MAX, Reader, track, unsubscribe_headers

LINKS = Links("https://mail.example.com", parse_keys("k" * 32))
EMAIL = UUID("00000000-0000-4000-8000-0000000000e1")
USER = UUID("00000000-0000-4000-8000-0000000000a1")
READER = Reader("max@example.com", USER)
PAGE = "<html><body>{}<!-- unsubscribe --></body></html>"


def mail(body: str, *, category: str = "leads", tracked: bool = True) -> Rendered:
    text = "See https://app.example.com/leads\n"
    return Rendered("Subject", PAGE.format(body), text, category, tracked)


def tracked(body: str) -> str:
    return track(mail(body), links=LINKS, email_id=EMAIL, reader=READER).html


def clicks(page: str) -> list[Click]:
    tokens = re.findall(r"https://mail\.example\.com/e/c/([\w-]+)", page)
    found = [LINKS.read_click(token) for token in tokens]
    return [each for each in found if each is not None]


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ('<a href="https://a.example/">', "https://a.example/"),
        ("<A class='x' HREF='http://a.example/?b=1&amp;c=2'>", "http://a.example/?b=1&c=2"),
        ("<a href=https://a.example/?b=c>", "https://a.example/?b=c"),
        ('<a\n  title="a > b"\n  href = "https://a.example/">', "https://a.example/"),
        ('<a href=" https://a.example/ ">', "https://a.example/"),
        ('<area href="https://a.example/">', "https://a.example/"),
        ('<a data-href="https://b.example/" href="https://a.example/">', "https://a.example/"),
        ("<a title=' href=\"https://b.example/\"' href=https://a.example/>", "https://a.example/"),
    ],
)
def test_a_link_goes_through_us(link: str, target: str) -> None:
    page = tracked(f"{link}here</a>")

    assert clicks(page) == [Click(EMAIL, target, 1)]


@pytest.mark.parametrize(
    "link",
    [
        '<a href="mailto:max@example.com">',
        '<a href="tel:+123">',
        '<a href="#top">',
        '<a href="/leads">',
        '<a href="javascript:alert(1)">',
        '<a href="https://mail.example.com/e/u/token">',
        '<a name="https://a.example/">',
        '<img src="https://a.example/i.png">',
        '<link href="https://a.example/a.css">',
        f'<a href="https://a.example/{"a" * 2_000}">',
        "https://a.example/ in the text",
    ],
)
def test_everything_else_stays_byte_for_byte(link: str) -> None:
    page = tracked(link)

    assert link in page
    assert clicks(page) == []


def test_each_link_knows_how_many_there_are() -> None:
    page = tracked(
        '<a href="https://a.example/">1</a><a href="https://b.example/">2</a>'
        '<a href="https://a.example/">1 again</a><a href="mailto:m@example.com">3</a>'
    )

    assert [(click.target, click.among) for click in clicks(page)] == [
        ("https://a.example/", 2),
        ("https://b.example/", 2),
        ("https://a.example/", 2),
    ]


def test_the_pixel_is_the_last_thing_of_the_body() -> None:
    page = tracked("<p>Hello</p>")

    pixel = re.search(r'<img src="([^"]+)" width="1" height="1" alt=""[^>]*></body></html>$', page)
    assert pixel is not None
    assert html.unescape(pixel[1]) == LINKS.pixel(EMAIL)


def test_the_way_out_stands_in_both_parts() -> None:
    leave = LINKS.unsubscribe("max@example.com", "leads", USER, email_id=EMAIL)

    sent = track(mail("<p>Hello</p>"), links=LINKS, email_id=EMAIL, reader=READER)

    assert sent.html.count(f'href="{leave}"') == 1
    assert "<!-- unsubscribe -->" not in sent.html
    assert sent.text.startswith("See https://app.example.com/leads\n")
    assert sent.text.endswith(f"\n{leave}\n")


def test_the_text_part_has_no_other_link_of_ours() -> None:
    sent = track(mail("<p>Hello</p>"), links=LINKS, email_id=EMAIL, reader=READER)

    assert "/e/c/" not in sent.text
    assert "/e/o/" not in sent.text


def test_a_page_without_a_place_for_it_gets_the_way_out_at_its_end() -> None:
    bare = replace(mail(""), html="<p>Hello</p>")

    sent = track(bare, links=LINKS, email_id=EMAIL, reader=READER)

    assert "/e/u/" in sent.html
    assert sent.html.startswith("<p>Hello</p>")


def test_mail_about_an_account_goes_out_as_it_was() -> None:
    account = mail('<a href="https://a.example/reset">', category="account", tracked=True)

    assert track(account, links=LINKS, email_id=EMAIL, reader=READER) == account
    assert unsubscribe_headers("account", links=LINKS, email_id=EMAIL, reader=READER) == {}


def test_an_untracked_mail_only_gets_the_way_out() -> None:
    body = '<a href="https://a.example/">'
    plain = mail(body, tracked=False)

    sent = track(plain, links=LINKS, email_id=EMAIL, reader=READER)

    assert body in sent.html
    assert "/e/o/" not in sent.html
    assert "/e/u/" in sent.html


def test_a_mail_that_tracking_would_have_cut_off_is_not_tracked() -> None:
    link = '<a href="https://a.example/">a</a>'
    body = link * 1_500

    sent = track(mail(body), links=LINKS, email_id=EMAIL, reader=READER)

    assert clicks(sent.html) == []
    assert "/e/u/" in sent.html
    assert len(sent.html) < HTML_BYTES_MAX


def test_mail_programs_are_told_how_to_unsubscribe() -> None:
    headers = unsubscribe_headers("leads", links=LINKS, email_id=EMAIL, reader=READER)

    leave = LINKS.unsubscribe("max@example.com", "leads", USER, email_id=EMAIL)
    assert headers == {
        "List-Unsubscribe": f"<{leave}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_tracking_twice_tracks_once() -> None:
    once = track(mail('<a href="https://a.example/">'), links=LINKS, email_id=EMAIL, reader=READER)

    again = track(once, links=LINKS, email_id=EMAIL, reader=READER)

    assert clicks(again.html) == clicks(once.html)
