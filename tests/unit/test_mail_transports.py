"""What EMAIL_URL names, what providers' answers mean, and whose signature a mail bears."""

import base64
import errno
import socket
import ssl
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from pipelines.email.address import parse_address
from pipelines.email.compose import Letter, compose
from pipelines.email.dkim_signature import Signer
from pipelines.errors import Misconfigured
from pipelines.gateways.http_failures import HttpPermanent, HttpTransient
from pipelines.gateways.mail import FileRoute, ResendRoute, Route, SmtpRoute, read_route
from pipelines.gateways.mail_failures import (
    MailDelayed,
    MailFailure,
    MailRefused,
    MailUncertain,
    Stage,
    http_failure,
    network_failure,
    resend_failure,
    smtp_failure,
)
from pipelines.gateways.mail_file import file_name
from pipelines.gateways.mail_transports import open_transport

HOME = Path("/home/avivro")
LETTER = Letter(
    "<1@sender.example>",
    parse_address("Shop <shop@sender.example>"),
    parse_address("jane@example.com"),
    "Grüße",
    "<p>Hi</p>",
    "Hi",
    headers={
        "List-Unsubscribe": "<https://workers.example/e/u/x>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    },
)


@pytest.mark.parametrize(
    ("url", "route"),
    [
        (None, FileRoute(HOME / "mail")),
        ("file:///var/mails", FileRoute(Path("/var/mails"))),
        ("file:///var/my%20mails", FileRoute(Path("/var/my mails"))),
        ("smtp://mail.example", SmtpRoute("mail.example", 587)),
        ("smtp://[::1]:25", SmtpRoute("::1", 25)),
        (
            "smtps://u%40x:p%3A%2F%40@mail.example",
            SmtpRoute("mail.example", 465, "u@x", "p:/@", implicit_tls=True),
        ),
        (
            "smtp://mail.example:2525?starttls=required&rate_per_s=0.5",
            SmtpRoute("mail.example", 2525, starttls="required", per_s=0.5),
        ),
        ("resend://re_1@api.resend.com", ResendRoute("https://api.resend.com", "re_1")),
        ("resend://re_1@127.0.0.1:80/v1/", ResendRoute("http://127.0.0.1:80/v1", "re_1")),
        ("resend://re%2F1@h?rate_per_s=10&tls=off", ResendRoute("http://h", "re/1", per_s=10)),
    ],
)
def test_a_url_names_a_way_out(url: str | None, route: Route) -> None:
    assert read_route(url, home=HOME) == route
    assert open_transport(route).provider in ("file", "smtp", "resend")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://mail.example", "must begin with smtp://"),
        ("smtp://", "names no host"),
        ("smtp://mail.example:port", "cannot be read"),
        ("smtp://mail.example?startls=off", "no option startls"),
        ("smtp://mail.example?starttls=maybe", "required or off"),
        ("smtp://mail.example?rate_per_s=0", "rate_per_s"),
        ("smtp://mail.example?rate_per_s=-1", "rate_per_s"),
        ("smtp://mail.example?dkim_selector=a", "belong together"),
        ("smtp://mail.example?dkim_selector=a&dkim_key=/none.pem", "no DKIM key"),
        ("resend://api.resend.com", "holds no key"),
        ("resend://re_1@h?tls=maybe", "on or off"),
        ("file://mails", "three slashes"),
        ("file:///", "three slashes"),
    ],
)
def test_a_url_that_names_none_says_why(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_route(url, home=HOME)


def test_secrets_of_a_route_are_not_shown() -> None:
    shown = repr(read_route("smtp://u:secret@h", home=HOME)) + repr(
        read_route("resend://secret@h", home=HOME)
    )

    assert "secret" not in shown


@pytest.mark.parametrize(
    ("stage", "code", "reply", "failure", "by_operator"),
    [
        ("connect", 421, "busy", MailDelayed, False),
        ("connect", 554, "blocked", MailDelayed, True),
        ("connect", -1, "SSH", MailDelayed, False),
        ("greet", 550, "bad name", MailDelayed, True),
        ("tls", 454, "not now", MailDelayed, False),
        ("tls", 501, "no", MailDelayed, True),
        ("sign in", 535, "5.7.8 wrong", MailDelayed, True),
        ("sign in", 454, "4.7.0 busy", MailDelayed, False),
        ("sign in", 534, "too weak", MailDelayed, True),
        ("sender", 530, "5.7.0 sign in first", MailDelayed, True),
        ("sender", 550, "5.7.1 no", MailRefused, False),
        ("sender", 552, "5.3.4 too big", MailRefused, False),
        ("recipient", 450, "4.2.1 busy", MailDelayed, False),
        ("recipient", 550, "5.1.1 unknown", MailRefused, False),
        ("recipient", 554, "5.7.1 Relay access denied", MailRefused, False),
        ("recipient", 530, "5.7.0 sign in first", MailDelayed, True),
        ("recipient", 250, "fine?", MailDelayed, True),
        ("content", 421, "4.3.0 closing", MailDelayed, False),
        ("content", 452, "4.3.1 full", MailDelayed, False),
        ("content", 552, "5.3.4 too big", MailRefused, False),
        ("content", 554, "5.7.1 spam", MailRefused, False),
    ],
)
def test_what_a_reply_means(
    stage: Stage, code: int, reply: str, failure: type[MailFailure], by_operator: bool
) -> None:
    found = smtp_failure(stage, code, reply)

    assert type(found) is failure
    assert getattr(found, "by_operator", False) == by_operator
    assert reply in str(found)


@pytest.mark.parametrize(
    ("reply", "wait_s"),
    [
        ("4.7.1 Greylisting in action, please try again in 300 seconds", 300.0),
        ("4.2.0 Greylisted, see http://postgrey.example", 60.0),
        ("4.7.1 Please try again in 10 minutes", 600.0),
        ("4.7.1 graylist: wait 5s", 60.0),
        ("4.7.1 greylisted for 99999 seconds", 3_600.0),
        ("4.2.1 mailbox busy", None),
    ],
)
def test_greylisting_says_how_long(reply: str, wait_s: float | None) -> None:
    found = smtp_failure("recipient", 451, reply)

    assert isinstance(found, MailDelayed)
    assert found.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("error", "words", "by_operator"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), "does not exist", True),
        (socket.gaierror(socket.EAI_AGAIN, ""), "could not be looked up", False),
        (TimeoutError(), "did not answer in time", False),
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), "refused the connection", False),
        (OSError(errno.EHOSTUNREACH, ""), "cannot be reached", False),
        (ConnectionResetError(errno.ECONNRESET, ""), "broke", False),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), "no secure connection", False),
        (ssl.SSLCertVerificationError(1, "x"), "no valid certificate", True),
    ],
)
def test_what_the_system_says_of_a_connection(
    error: OSError, words: str, by_operator: bool
) -> None:
    found = network_failure(error, "mail.example")

    assert words in str(found)
    assert "mail.example" in str(found)
    assert found.by_operator == by_operator


@pytest.mark.parametrize(
    ("status", "name", "failure", "flags"),
    [
        (400, "validation_error", MailRefused, set()),
        (400, "invalid_idempotency_key", MailRefused, set()),
        (401, "missing_api_key", MailDelayed, {"by_operator"}),
        (401, "restricted_api_key", MailDelayed, {"by_operator"}),
        (403, "invalid_api_key", MailDelayed, {"by_operator"}),
        (403, "validation_error", MailDelayed, {"by_operator"}),
        (404, "not_found", MailDelayed, {"by_operator"}),
        (405, "method_not_allowed", MailDelayed, {"by_operator"}),
        (409, "concurrent_idempotent_requests", MailDelayed, {"maybe_taken"}),
        (409, "invalid_idempotent_request", MailUncertain, set()),
        (413, "", MailRefused, set()),
        (422, "missing_required_field", MailRefused, set()),
        (422, "invalid_attachment", MailRefused, set()),
        (422, "invalid_from_address", MailRefused, set()),
        (429, "rate_limit_exceeded", MailDelayed, {"limited"}),
        (429, "daily_quota_exceeded", MailDelayed, {"limited"}),
        (429, "monthly_quota_exceeded", MailDelayed, {"limited"}),
        (451, "security_error", MailRefused, set()),
        (500, "application_error", MailDelayed, {"maybe_taken"}),
        (502, "", MailDelayed, {"maybe_taken"}),
        (302, "", MailDelayed, {"by_operator", "maybe_taken"}),
    ],
)
def test_what_an_answer_of_resend_means(
    status: int, name: str, failure: type[MailFailure], flags: set[str]
) -> None:
    found = resend_failure(status, name, "words", retry_after_s=None)

    set_flags = {f for f in ("by_operator", "limited", "maybe_taken") if getattr(found, f, False)}
    assert (type(found), set_flags) == (failure, flags)


def test_a_used_up_quota_waits_longer_than_a_rate() -> None:
    rate = resend_failure(429, "rate_limit_exceeded", "", retry_after_s=None)
    quota = resend_failure(429, "daily_quota_exceeded", "", retry_after_s=None)

    assert isinstance(rate, MailDelayed)
    assert isinstance(quota, MailDelayed)
    assert (rate.retry_after_s, quota.retry_after_s) == (1.0, 3_600.0)


@pytest.mark.parametrize(
    ("error", "by_operator", "maybe_taken"),
    [
        (HttpTransient("x", failure_class="timeout"), False, True),
        (HttpTransient("x", failure_class="protocol"), False, True),
        (HttpTransient("x", failure_class="connect"), False, False),
        (HttpPermanent("x", failure_class="dns"), True, False),
        (HttpPermanent("x", failure_class="tls"), True, False),
    ],
)
def test_a_request_without_an_answer_may_have_arrived(
    error: HttpPermanent | HttpTransient, by_operator: bool, maybe_taken: bool
) -> None:
    found = http_failure(error)

    assert (found.by_operator, found.maybe_taken) == (by_operator, maybe_taken)
    assert str(found) == "Resend gave no answer: x"


@pytest.mark.parametrize(
    ("message_id", "name"),
    [("<1.2@x.example>", "1.2@x.example.eml"), ("<../../a@x>", ".._.._a@x.eml")],
)
def test_a_file_is_named_after_the_mail(message_id: str, name: str) -> None:
    assert file_name(message_id) == name


def test_a_signature_is_one_that_receivers_verify(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(pem)
    raw = compose(LETTER, now=datetime(2026, 1, 2, tzinfo=UTC))

    signed = Signer("main", tmp_path / "key.pem").sign(raw, LETTER)

    def look_up(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"main._domainkey.sender.example."
        return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)

    verify = import_module("dkim").verify
    assert verify(signed, dnsfunc=look_up)
    assert not verify(signed.replace(b"One-Click", b"Two-Click"), dnsfunc=look_up)
    assert not verify(signed.replace(b"/e/u/x", b"/e/u/y"), dnsfunc=look_up)


def test_a_key_that_is_none_is_for_the_operator_to_mend(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("no key")

    with pytest.raises(Misconfigured, match="DKIM"):
        Signer("main", tmp_path / "key.pem").sign(b"From: a@b.example\r\n\r\nHi", LETTER)
