"""A mail as bytes: what any program reads back from it, and what no server may see."""

import email
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.email.address import parse_address
from pipelines.email.attachments import (
    ATTACHMENTS_BYTES_MAX,
    Attachment,
    check_size,
    clean_filename,
    read_attachments,
)
from pipelines.email.compose import (
    SUBJECT_CHARS_MAX,
    Letter,
    clean_body,
    clean_subject,
    compose,
    make_message_id,
)
from pipelines.errors import Permanent

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SENDER = parse_address("Avivro <no-reply@sender.example>")
LINK = "https://workers.example/e/u/" + "Ab-_" * 100


def letter(to: str = "jane@example.com", **fields: object) -> Letter:
    values: dict[str, object] = {
        "message_id": "<1@sender.example>",
        "sender": SENDER,
        "recipient": parse_address(to),
        "subject": "Hi",
        "html": "<p>Hi</p>",
        "text": "Hi",
        **fields,
    }
    return Letter(**values)  # type: ignore[arg-type]


def read(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw, policy=policy.default)
    assert isinstance(found, EmailMessage)
    return found


def header(raw: bytes, name: str) -> str:
    """As an older and more lenient program decodes it."""
    value = email.message_from_bytes(raw)[name].replace("\r\n", "")
    return str(make_header(decode_header(value)))


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return "\n".join(str(found.get_content()).splitlines())


SUBJECTS = [
    "Short",
    "",
    "x" * 400,
    "ü" * 400,
    "👨\u200d👩\u200d👧\u200d👦" * 40,
    "A long subject of plain words " * 10,
    "Grüße und viele lange Wörter in einem Betreff " * 8,
    "שלום עולם מה שלומך היום אני מקווה שהכל בסדר אצלך ושיש לך יום נפלא",
    "a =? b ?= c",
    ":colon first",
]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_arrives_whole_in_short_lines(subject: str) -> None:
    written = clean_subject(subject)

    raw = compose(letter(subject=written), now=NOW)

    assert header(raw, "Subject") == read(raw)["Subject"] == written
    head = raw.partition(b"\r\n\r\n")[0]
    assert all(len(line) <= 78 or b" " not in line.strip() for line in head.split(b"\r\n"))


def test_an_address_without_a_name_stands_alone() -> None:
    raw = compose(letter("jane@example.com"), now=NOW)

    assert b"\r\nTo: jane@example.com\r\n" in raw


@settings(max_examples=50)
@given(st.text(max_size=300))
def test_no_text_breaks_out_of_the_subject(text: str) -> None:
    raw = compose(letter(subject=clean_subject(text)), now=NOW)

    head = raw.partition(b"\r\n\r\n")[0]
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in b" \t"]
    assert names == [
        *(b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted"),
        *(b"MIME-Version", b"Content-Type"),
    ]
    assert header(raw, "Subject") == clean_subject(text)


@settings(max_examples=50)
@given(st.text(max_size=200), st.text(max_size=200))
def test_any_text_arrives_in_lines_that_every_server_takes(text: str, page: str) -> None:
    raw = compose(letter(text=text, html=page or "<p></p>"), now=NOW)

    assert raw.isascii()
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert part(read(raw), "plain").strip("\n") == clean_body(text).strip("\n")


@pytest.mark.parametrize("text", ["x" * 20_000, "ü" * 20_000, ".\n..\n.x", "From me\n>From", ""])
def test_long_words_and_dots_stay_what_they_are(text: str) -> None:
    raw = compose(letter(text=text, html=f"<p>{text}</p>"), now=NOW)

    assert part(read(raw), "plain") == text
    assert part(read(raw), "html") == "\n".join(f"<p>{text}</p>".splitlines())
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "name",
    ["Jane", "Doe, Jane", 'Jane "J" Doe', "Jörg", "ü" * 190, "Very long " * 19, "a\\b", "(x)", "."],
)
def test_a_display_name_arrives_whole(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    to = parse_address(f'"{quoted}" <jane@example.com>')

    raw = compose(letter(recipient=to), now=NOW)

    shown, bare = parseaddr(email.message_from_bytes(raw)["To"])
    assert bare == "jane@example.com"
    assert str(make_header(decode_header(shown.replace("\r\n", "")))) == name.strip()


def test_a_long_link_in_a_header_is_not_folded() -> None:
    raw = compose(letter(headers={"List-Unsubscribe": f"<{LINK}>"}), now=NOW)

    assert f"\r\nList-Unsubscribe: <{LINK}>\r\n".encode() in raw


@pytest.mark.parametrize("value", ["a\r\nBcc: b", "ü", "x" * 1_000])
def test_a_header_of_ours_is_one_line_of_ascii(value: str) -> None:
    with pytest.raises(ValueError, match="X-Test"):
        compose(letter(headers={"X-Test": value}), now=NOW)


def test_a_mail_has_both_texts_and_the_plain_one_first() -> None:
    message = read(compose(letter(), now=NOW))

    assert message.get_content_type() == "multipart/alternative"
    assert [each.get_content_type() for each in message.iter_parts()] == ["text/plain", "text/html"]
    assert message["Date"].datetime == NOW
    assert message["Auto-Submitted"] == "auto-generated"


def test_attachments_keep_their_names_types_and_bytes() -> None:
    files = (
        Attachment("räport 2026.pdf", "application/pdf", bytes(range(256)) * 20),
        Attachment("ü" * 150, "text/csv", b"a;b\r\n"),
        Attachment("empty.bin", "application/octet-stream", b""),
    )

    message = read(compose(letter(attachments=files), now=NOW))

    found = [
        (each.get_filename(), each.get_content_type(), each.get_payload(decode=True))
        for each in message.iter_attachments()
    ]
    assert found == [(each.filename, each.content_type, each.content) for each in files]
    assert message.get_content_type() == "multipart/mixed"


def test_an_address_beyond_ascii_stands_as_it_is_for_servers_that_take_it() -> None:
    raw = compose(letter("Jörg <jörg@bücher.example>"), now=NOW)

    assert "<jörg@xn--bcher-kva.example>".encode() in raw


def test_a_message_id_names_the_mail_and_which_sending_of_it() -> None:
    assert make_message_id(UUID(int=1), 1, "x.example") == f"<{UUID(int=1)}@x.example>"
    assert make_message_id(UUID(int=1), 2, "x.example") == f"<{UUID(int=1)}.2@x.example>"


def test_a_long_subject_is_cut() -> None:
    assert len(clean_subject("x" * 10_000)) == SUBJECT_CHARS_MAX


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("file", "must be a list"),
        (["file"], "attachment 1 must have"),
        ([{"filename": "a"}], "attachment 1 must have"),
        ([{"filename": "a.pdf", "content": "%%%"}], "attachment 1 (a.pdf) is not valid base64"),
        ([{"content": "AAAA", "content_type": "pdf"}], "no valid content_type"),
        ([{"content": "AAAA", "content_type": "text/x\r\nBcc: a"}], "no valid content_type"),
        ([{"content": "AAAA"}] * 21, "21 attachments, the limit is 20"),
        ([{"content": "A" * 7_000_000}] * 2, "10,500,000 bytes in all, the limit is 10,000,000"),
    ],
)
def test_attachments_that_cannot_be_sent_are_refused_clearly(value: object, words: str) -> None:
    with pytest.raises(Permanent) as caught:
        read_attachments(value)

    assert words in str(caught.value)


def test_attachments_up_to_the_limit_are_taken() -> None:
    check_size(ATTACHMENTS_BYTES_MAX)

    assert read_attachments(None) == ()
    assert read_attachments([{"content": "QU\r\nJD\n"}])[0].content == b"ABC"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\files\\report.pdf", "report.pdf"),
        ('a"\r\nContent-Type: x.pdf', "aContent-Type x.pdf"),
        ("\u202efdp.exe", "fdp.exe"),
        ("", "attachment"),
        (None, "attachment"),
        ("...", "attachment"),
        ("x" * 300 + ".pdf", "x" * 146 + ".pdf"),
    ],
)
def test_a_filename_says_nothing_of_folders_and_breaks_no_header(
    given: object, expected: str
) -> None:
    assert clean_filename(given) == expected


def test_a_file_that_claims_to_be_a_mail_is_a_file() -> None:
    (found,) = read_attachments([{"content": "AAAA", "content_type": "message/rfc822"}])

    assert found.content_type == "application/octet-stream"
