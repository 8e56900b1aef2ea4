"""Mail to a strict server, and to one that breaks at each step: what is known afterwards."""

import smtplib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.email.address import parse_address
from pipelines.email.attachments import Attachment
from pipelines.email.compose import Letter
from pipelines.gateways import mail_smtp
from pipelines.gateways.mail import Parcel, SmtpRoute, read_route
from pipelines.gateways.mail_failures import (
    MailDelayed,
    MailFailure,
    MailRefused,
    MailUncertain,
)
from pipelines.gateways.mail_smtp import Patience, SmtpTransport
from tests.fakes_smtp import Drip, Drop, FakeSmtp, Manner, Say, Wait, fake_smtp
from tests.fakes_tls import Authority, make_authority, serve_as
from tests.processes import wait_until

SHORT = Patience(send_s=0.4, answer_s=0.3)
LETTER = Letter(
    "<1@sender.example>",
    parse_address("Shop <shop@sender.example>"),
    parse_address("Jane Döe <jane@example.com>"),
    "Grüße",
    "<p>Grüße</p>",
    ".\n..\nGrüße\nFrom here\n.",
)


class Posting:
    """Sends through one transport, and counts how often a mail was handed over."""

    def __init__(self, url: str, patience: Patience | None = None) -> None:
        route = read_route(url, home=Path("/nowhere"))
        assert isinstance(route, SmtpRoute)
        self.transport = SmtpTransport(route, patience=patience)
        self.handed = 0
        self.hook: Callable[[], None] = lambda: None

    def send(self, letter: Letter = LETTER) -> str | None:
        parcel = Parcel(
            letter.message_id,
            "1/1",
            letter.sender.spec,
            letter.recipient.spec,
            self.transport.pack(letter),
            letter.needs_utf8,
        )
        return self.transport.send(parcel, self.hand_over)

    def hand_over(self) -> None:
        self.handed += 1
        self.hook()

    def fail(self, letter: Letter = LETTER) -> MailFailure:
        with pytest.raises((MailRefused, MailDelayed, MailUncertain)) as caught:
            self.send(letter)
        assert isinstance(caught.value, MailFailure)
        return caught.value


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    with fake_smtp() as fake:
        yield fake


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """One that clients trust."""
    made = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made


def test_a_mail_arrives_as_it_was_written(smtp: FakeSmtp) -> None:
    known_as = Posting(smtp.url()).send()

    (mail,) = smtp.mailbox
    assert known_as == mail.message["Message-ID"] == "<1@sender.example>"
    assert (mail.sender, mail.recipient) == ("shop@sender.example", "jane@example.com")
    assert mail.message["Subject"] == "Grüße"
    text = mail.message.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == LETTER.text.splitlines()
    assert mail.content.isascii()
    assert any(option.startswith("SIZE=") for option in mail.options)


def test_mails_in_a_row_share_a_connection_which_is_closed_when_idle(
    smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_smtp, "IDLE_S", 0.3)
    posting = Posting(smtp.url())

    for _ in range(3):
        posting.send()

    assert [mail.line for mail in smtp.mailbox] == [1, 1, 1]
    wait_until(lambda: smtp.open_lines == 0, "the idle connection is closed")


def test_a_kept_connection_that_the_server_closed_costs_no_attempt(smtp: FakeSmtp) -> None:
    posting = Posting(smtp.url())
    posting.send()
    smtp.at("mail", Say("421 4.4.2 idle for too long"))

    posting.send()

    assert [mail.line for mail in smtp.mailbox] == [1, 2]


def test_a_server_that_answers_twice_confuses_no_later_mail(smtp: FakeSmtp) -> None:
    posting = Posting(smtp.url())
    smtp.at("stored", Say("250 2.0.0 OK\r\n250 2.0.0 OK"))
    posting.send()

    posting.send()

    assert [mail.line for mail in smtp.mailbox] == [1, 2]


# What is asked of the server, and what follows: the class of the failure, whether the mail was
# handed over, and whether it lies in the mailbox all the same.
BROKEN: list[tuple[str, Manner, type[MailFailure], bool, bool]] = [
    ("banner", Drop(), MailDelayed, False, False),
    ("banner", Drop(reset=True), MailDelayed, False, False),
    ("banner", Say("421 4.3.2 closing"), MailDelayed, False, False),
    ("banner", Say("554 5.7.1 blocked"), MailDelayed, False, False),
    ("banner", Say("SSH-2.0-OpenSSH_9.2"), MailDelayed, False, False),
    ("banner", Drip(), MailDelayed, False, False),
    ("ehlo", Drop(), MailDelayed, False, False),
    ("mail", Drop(), MailDelayed, False, False),
    ("mail", Say("451 4.3.0 busy"), MailDelayed, False, False),
    ("mail", Say("550 5.7.1 no"), MailRefused, False, False),
    ("mail", Say("530 5.7.0 authentication required"), MailDelayed, False, False),
    ("rcpt", Drop(), MailDelayed, False, False),
    ("rcpt", Say("450 4.2.0 busy"), MailDelayed, False, False),
    ("rcpt", Say("550 5.1.1 no such user"), MailRefused, False, False),
    ("rcpt", Drip(), MailDelayed, False, False),
    ("data", Drop(), MailDelayed, False, False),
    ("data", Say("451 4.3.0 busy"), MailDelayed, False, False),
    ("data", Say("554 5.7.1 no"), MailRefused, False, False),
    ("data", Say("354 go on\r\n421 4.3.2 closing"), MailDelayed, False, False),
    ("body", Drop(), MailDelayed, False, False),
    ("body", Drop(reset=True), MailDelayed, False, False),
    ("dot", Say("452 4.3.1 disk full"), MailDelayed, True, False),
    ("dot", Say("421 4.3.0 closing"), MailDelayed, True, False),
    ("dot", Say("550 5.7.1 spam"), MailRefused, True, False),
    ("dot", Drop(), MailUncertain, True, False),
    ("dot", Drip(), MailUncertain, True, False),
    ("dot", Wait(2.0), MailUncertain, True, False),
    ("stored", Drop(), MailUncertain, True, True),
    ("stored", Drop(reset=True), MailUncertain, True, True),
    ("stored", Drip(), MailUncertain, True, True),
    ("stored", Say("what?"), MailUncertain, True, True),
]


@pytest.mark.parametrize(
    ("step", "manner", "failure", "handed", "stored"),
    BROKEN,
    ids=[f"{step}-{manner}" for step, manner, *_ in BROKEN],
)
def test_what_breaks_before_the_end_is_tried_again_and_after_it_is_uncertain(
    smtp: FakeSmtp,
    step: str,
    manner: Manner,
    failure: type[MailFailure],
    handed: bool,
    stored: bool,
) -> None:
    smtp.at(step, manner)
    # More than the kernel takes at once, so that the end of the connection is seen.
    file = Attachment("file", "application/pdf", bytes(9_000_000))
    letter = replace(LETTER, attachments=(file,)) if step == "body" else LETTER
    posting = Posting(smtp.url(), Patience(10, 10) if step == "body" else SHORT)

    found = posting.fail(letter)

    assert type(found) is failure
    assert posting.handed == (1 if handed else 0)
    assert len(smtp.mailbox) == (1 if stored else 0)


@pytest.mark.parametrize("reset", [False, True])
def test_a_server_that_goes_before_the_dot_has_nothing_even_after_the_mark(
    smtp: FakeSmtp, reset: bool
) -> None:
    smtp.at("body", Drop(reset))
    posting = Posting(smtp.url())

    def outlast() -> None:
        wait_until(lambda: smtp.open_lines == 0, "the server has gone")

    posting.hook = outlast
    found = posting.fail()

    assert type(found) is MailDelayed
    assert smtp.mailbox == []


def test_a_mark_that_cannot_be_stored_leaves_nothing_at_the_server(smtp: FakeSmtp) -> None:
    posting = Posting(smtp.url())

    def lose() -> None:
        raise RuntimeError("the lease is lost")

    posting.hook = lose
    with pytest.raises(RuntimeError):
        posting.send()

    wait_until(lambda: smtp.open_lines == 0, "the server sees the connection end")
    assert smtp.mailbox == []


def test_the_server_has_nothing_until_the_mark_is_stored(smtp: FakeSmtp) -> None:
    posting, seen = Posting(smtp.url()), []

    def look() -> None:
        time.sleep(0.1)
        seen.append(len(smtp.mailbox))

    posting.hook = look
    posting.send()

    assert (seen, len(smtp.mailbox)) == ([0], 1)


def test_a_slow_server_is_waited_for(smtp: FakeSmtp) -> None:
    for step in ("banner", "ehlo", "mail", "rcpt", "data", "dot", "stored"):
        smtp.at(step, Wait(0.1))

    Posting(smtp.url()).send()

    assert len(smtp.mailbox) == 1


def test_a_greylisted_mail_passes_later() -> None:
    with fake_smtp(greylist_s=0.2) as smtp:
        posting = Posting(smtp.url())

        first = posting.fail()
        time.sleep(0.3)
        posting.send()

    assert isinstance(first, MailDelayed)
    assert first.retry_after_s == 300.0
    assert len(smtp.mailbox) == 1


def test_a_mail_over_the_servers_size_is_refused_with_both_sizes() -> None:
    with fake_smtp(size_max=500) as smtp:
        found = Posting(smtp.url()).fail()

    assert isinstance(found, MailRefused)
    assert "the limit of the mail server 127.0.0.1 is 500" in str(found)


def test_letters_beyond_ascii_before_the_at_need_a_server_that_takes_them() -> None:
    letter = Letter(
        "<2@sender.example>", LETTER.sender, parse_address("jörg@bücher.example"), "Hi", "", "Hi"
    )
    with fake_smtp() as modern, fake_smtp(takes_utf8=False) as old:
        Posting(modern.url()).send(letter)
        found = Posting(old.url()).fail(letter)

    (mail,) = modern.mailbox
    assert mail.recipient == "jörg@xn--bcher-kva.example"
    assert "SMTPUTF8" in mail.options
    assert "jörg@xn--bcher-kva.example".encode() in mail.content
    assert isinstance(found, MailRefused)
    assert "SMTPUTF8" in str(found)


def test_starttls_is_used_where_it_is_offered_and_then_the_password(
    tmp_path: Path, authority: Authority
) -> None:
    context = serve_as("127.0.0.1", tmp_path, signed_by=authority)
    with fake_smtp(starttls=context, users={"shop@x": "pä:ss@"}) as smtp:
        Posting(smtp.url("shop%40x:p%C3%A4%3Ass%40", query="?starttls=required")).send()

    (mail,) = smtp.mailbox
    assert (mail.over_tls, mail.user) == (True, "shop@x")


def test_smtps_encrypts_from_the_first_byte(tmp_path: Path, authority: Authority) -> None:
    context = serve_as("127.0.0.1", tmp_path, signed_by=authority)
    with fake_smtp(tls=context) as smtp:
        Posting(smtp.url(scheme="smtps")).send()

    assert len(smtp.mailbox) == 1


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tmp_path: Path, scheme: str) -> None:
    context = serve_as("127.0.0.1", tmp_path)
    offered = {"starttls": context} if scheme == "smtp" else {"tls": context}
    query = "?starttls=required" if scheme == "smtp" else ""
    with fake_smtp(**offered) as smtp:
        found = Posting(smtp.url(scheme=scheme, query=query)).fail()

    assert isinstance(found, MailDelayed)
    assert found.by_operator
    assert "certificate" in str(found)
    assert smtp.mailbox == []


def test_encryption_that_is_required_is_not_done_without(smtp: FakeSmtp) -> None:
    found = Posting(smtp.url(query="?starttls=required")).fail()

    assert isinstance(found, MailDelayed)
    assert found.by_operator
    assert smtp.mailbox == []


def test_starttls_is_not_begun_where_the_operator_wants_none(tmp_path: Path) -> None:
    with fake_smtp(starttls=serve_as("127.0.0.1", tmp_path)) as smtp:
        Posting(smtp.url(query="?starttls=off")).send()

    assert [mail.over_tls for mail in smtp.mailbox] == [False]


@pytest.mark.parametrize("users", [{"shop": "other"}, {}])
def test_a_wrong_password_waits_for_the_operator(users: dict[str, str]) -> None:
    with fake_smtp(users=users) as smtp:
        found = Posting(smtp.url("shop:secret")).fail()

    assert isinstance(found, MailDelayed)
    assert found.by_operator
    assert "secret" not in str(found)
    assert smtp.mailbox == []


def test_a_server_that_is_not_there_is_tried_again() -> None:
    with fake_smtp() as smtp:
        url = smtp.url()

    found = Posting(url).fail()

    assert isinstance(found, MailDelayed)
    assert not found.by_operator
    assert "refused the connection" in str(found)


def test_threads_send_at_the_same_time_on_lines_of_their_own(smtp: FakeSmtp) -> None:
    posting = Posting(smtp.url())
    threads = [threading.Thread(target=posting.send) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(smtp.mailbox) == 4


def test_the_fake_is_driven_by_the_standard_librarys_client(smtp: FakeSmtp) -> None:
    with smtplib.SMTP("127.0.0.1", smtp.port) as client:
        client.sendmail("a@b.example", ["c@d.example"], b"Subject: hi\r\n\r\n.\r\nend")

    assert smtp.mailbox[0].content == b"Subject: hi\r\n\r\n.\r\nend\r\n"
