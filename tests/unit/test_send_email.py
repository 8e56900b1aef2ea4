"""What `send_email` decides without any I/O: when to try again, what is the same mail."""

from dataclasses import replace
from uuid import UUID

import pytest

from db.emails import Email
from pipelines.email.plan import JITTER, OPERATOR_WAIT_S, PATIENCE_S, WAITS_S, next_wait_s
from pipelines.errors import Permanent
from pipelines.gateways.mail import Parcel, Rate
from pipelines.gateways.mail_failures import MailDelayed
from pipelines.send_email import find_parcel, read_data, read_reply_to, sentence

DAY_S = 86_400.0
EMAIL = Email(
    id=UUID(int=1),
    user_id=None,
    to_email="jane@example.com",
    from_email=None,
    subject=None,
    email_type="welcome",
    template_id=None,
    template_data="{}",
    status="sending",
    number=2,
    message_id="<1@example.com>",
    provider="resend",
    failures=0,
    was_handed=True,
    request=b"{}",
    handed_s=60.0,
    waited_s=60.0,
    app_url="https://app.example.com",
)


class Provider:
    """A transport by its promises alone."""

    rate: Rate | None = None

    def __init__(self, provider: str, replay_s: float) -> None:
        self.provider = provider
        self.replay_s = replay_s

    def pack(self, letter: object) -> bytes:
        return b""

    def send(self, parcel: object, hand_over: object) -> str | None:
        return None


def wait_s(failure: MailDelayed, *, failures: int = 0, waited_s: float = 0.0) -> float | None:
    return next_wait_s(failure, failures=failures, waited_s=waited_s, luck=0.0)


def test_a_mail_is_tried_as_often_as_there_are_waits_and_once_more() -> None:
    waits_s = [wait_s(MailDelayed("busy"), failures=n) for n in range(len(WAITS_S) + 1)]

    assert waits_s == [*WAITS_S, None]


def test_the_plan_outlasts_the_five_minutes_of_greylisting_and_a_night() -> None:
    assert sum(WAITS_S[:3]) > 330
    assert sum(WAITS_S) > 12 * 3_600


@pytest.mark.parametrize("luck", [0.0, 0.5, 0.999])
def test_no_attempt_is_earlier_than_the_provider_asked(luck: float) -> None:
    asked = MailDelayed("greylisted", retry_after_s=300.0)

    found = next_wait_s(asked, failures=0, waited_s=0.0, luck=luck)

    assert found is not None
    assert 300.0 <= found <= 300.0 * (1 + JITTER)


def test_a_wrong_password_is_waited_out_for_days_and_costs_no_attempt() -> None:
    mistake = MailDelayed("535", by_operator=True)

    assert wait_s(mistake, failures=len(WAITS_S), waited_s=2 * DAY_S) == OPERATOR_WAIT_S
    assert wait_s(mistake, waited_s=PATIENCE_S) is None


def test_a_provider_that_is_asked_too_often_names_the_wait() -> None:
    limited = MailDelayed("429", limited=True, retry_after_s=2.0)

    assert wait_s(limited, failures=len(WAITS_S)) == 2.0


def test_what_resend_may_have_is_sent_again_under_the_same_key_and_byte_for_byte() -> None:
    parcel = find_parcel(Provider("resend", DAY_S), EMAIL)

    assert parcel == Parcel("<1@example.com>", f"{EMAIL.id}/2", sender="", recipient="", body=b"{}")


@pytest.mark.parametrize(
    ("provider", "change"),
    [
        (Provider("resend", DAY_S), {"handed_s": DAY_S}),
        (Provider("smtp", 0.0), {}),
        (Provider("smtp", 0.0), {"provider": "smtp", "request": None}),
        (Provider("resend", DAY_S), {"provider": "smtp", "request": None}),
    ],
)
def test_what_nobody_could_tell_from_a_second_mail_is_not_sent_again(
    provider: Provider, change: dict[str, object]
) -> None:
    assert find_parcel(provider, replace(EMAIL, **change)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [7, ["a@b.c"], "no address", "a@b.c, d@e.f", "a@b.c\nBcc: d@e.f"])
def test_a_reply_address_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(Permanent):
        read_reply_to(value)


def test_what_went_wrong_is_a_sentence_for_the_row() -> None:
    assert sentence(MailDelayed("the server is busy")) == "The server is busy."


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "must be a JSON object"),
        ("[1]", "must be a JSON object"),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ('{"x": 1' + "0" * 5_000 + "}", "too long a number"),
    ],
    ids=["null", "list", "deep", "digits"],
)
def test_data_that_cannot_be_read_is_told_to_who_wrote_it(text: str | None, words: str) -> None:
    with pytest.raises(Permanent, match=words):
        read_data(text)
