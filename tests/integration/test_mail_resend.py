"""Mail through Resend's API: what is sent, and what each of its answers means."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import resend

from pipelines.email.address import parse_address
from pipelines.email.attachments import Attachment
from pipelines.email.compose import Letter
from pipelines.gateways.mail import Parcel, ResendRoute, read_route
from pipelines.gateways.mail_failures import (
    MailDelayed,
    MailFailure,
    MailRefused,
    MailUncertain,
)
from pipelines.gateways.mail_resend import ResendTransport
from pipelines.gateways.mail_transports import own_client
from tests.fakes_http import Answer
from tests.fakes_resend import API_KEY, FakeResend, error, fake_resend

LETTER = Letter(
    "<1@sender.example>",
    parse_address('"Shop, Inc." <shop@sender.example>'),
    parse_address("Jane Döe <jane@exämple.de>"),
    "Grüße 👋",
    "<p>Grüße</p>",
    "Grüße",
    reply_to=parse_address("help@sender.example"),
    headers={"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
    attachments=(Attachment("räport.pdf", "application/pdf", b"%PDF"),),
)


@pytest.fixture
def fake() -> Iterator[FakeResend]:
    with fake_resend() as served:
        yield served


def send(url: str, *, key: str = "1/1", letter: Letter = LETTER) -> str | None:
    route = read_route(url, home=Path("/nowhere"))
    assert isinstance(route, ResendRoute)
    transport = ResendTransport(route, own_client(route.base_url))
    parcel = Parcel(letter.message_id, key, "", "", transport.pack(letter))
    return transport.send(parcel, lambda: None)


def fail(url: str) -> MailFailure:
    with pytest.raises((MailRefused, MailDelayed, MailUncertain)) as caught:
        send(url)
    assert isinstance(caught.value, MailFailure)
    return caught.value


def test_a_mail_is_asked_for_as_resend_documents_it(fake: FakeResend) -> None:
    known_as = send(fake.url)

    (mail,) = fake.sent
    assert known_as is not None
    assert mail["from"] == '"Shop, Inc." <shop@sender.example>'
    assert mail["to"] == ['"Jane Döe" <jane@xn--exmple-cua.de>']
    assert mail["subject"] == "Grüße 👋"
    assert mail["reply_to"] == ["help@sender.example"]
    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert base64.b64decode(mail["attachments"][0]["content"]) == b"%PDF"
    assert fake.calls[0].headers["idempotency-key"] == "1/1"


def test_the_same_request_twice_is_one_mail(fake: FakeResend) -> None:
    fake.plan.append("take and drop")

    lost = fail(fake.url)
    known_as = send(fake.url)

    assert isinstance(lost, MailDelayed)
    assert lost.maybe_taken
    assert known_as is not None
    assert len(fake.sent) == 1


def test_another_request_under_a_known_key_leaves_it_uncertain(fake: FakeResend) -> None:
    send(fake.url)

    with pytest.raises(MailUncertain):
        send(fake.url, letter=Letter("<1@x>", LETTER.sender, LETTER.recipient, "Other", "", "x"))

    assert len(fake.sent) == 1


def test_a_wrong_key_waits_for_the_operator(fake: FakeResend) -> None:
    found = fail(fake.url.replace(API_KEY, "re_wrong"))

    assert isinstance(found, MailDelayed)
    assert found.by_operator
    assert "re_wrong" not in str(found)


def test_a_success_is_one_whatever_its_body_says(fake: FakeResend) -> None:
    fake.plan.append(Answer(200, b"<html>", {"Content-Type": "text/html"}))

    assert send(fake.url) is None


@pytest.mark.parametrize("body", [b"", b"[null]", b'{"message": 7}', b"\xff\x00<html>"])
@pytest.mark.parametrize(
    ("status", "failure"), [(422, MailRefused), (500, MailDelayed), (503, MailDelayed)]
)
def test_the_status_decides_over_a_body_that_is_none_of_theirs(
    fake: FakeResend, status: int, failure: type[MailFailure], body: bytes
) -> None:
    fake.plan.append(Answer(status, body))

    assert type(fail(fake.url)) is failure


def test_too_many_requests_wait_as_long_as_asked(fake: FakeResend) -> None:
    fake.plan.append(error(429, "rate_limit_exceeded", "slow down", **{"retry-after": "7"}))

    found = fail(fake.url)

    assert isinstance(found, MailDelayed)
    assert (found.limited, found.retry_after_s, found.maybe_taken) == (True, 7.0, False)


def test_a_resend_that_is_not_there_is_tried_again() -> None:
    with fake_resend() as fake:
        url = fake.url

    found = fail(url)

    assert isinstance(found, MailDelayed)
    assert not found.by_operator
    assert not found.maybe_taken


def test_the_fake_is_driven_by_resends_own_client(
    fake: FakeResend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend, "api_key", API_KEY)
    monkeypatch.setattr(resend, "api_url", fake.origin)
    asked: resend.Emails.SendParams = {
        "from": "Shop <shop@sender.example>",
        "to": ["jane@example.com"],
        "subject": "Hi",
        "html": "<p>Hi</p>",
    }

    first = resend.Emails.send(asked, {"idempotency_key": "k"})
    second = resend.Emails.send(asked, {"idempotency_key": "k"})
    with pytest.raises(resend.exceptions.MissingRequiredFieldsError):
        resend.Emails.send({**asked, "subject": ""})

    assert first["id"] == second["id"]
    assert len(fake.sent) == 1
