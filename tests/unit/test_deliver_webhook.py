"""What follows from an attempt to deliver: its row's columns, and when the next one is."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pipelines.gateways.http import Response
from pipelines.gateways.http_failures import FailureClass, HttpPermanent, HttpTransient
from pipelines.webhooks.judge import RESPONSE_BYTES_MAX, Try, Verdict, judge, read_text, refuse
from pipelines.webhooks.plan import JITTER, RetryRules, next_wait_s
from workers.config import RETRY_WAITS_S

NOW = datetime(2025, 2, 5, 12, 0, 0, tzinfo=UTC)
URL = "https://hooks.example/in?token=secret"
DAY_S = 86_400.0


def rules(*, retry_failed: bool = True, max_retries: int = 9) -> RetryRules:
    return RetryRules(RETRY_WAITS_S, retry_failed, max_retries)


def attempt(number: int = 1, *, luck: float = 0.0, of: RetryRules | None = None) -> Try:
    return Try(number, of or rules(), NOW, luck)


def answer(status: int, body: bytes = b"", **headers: str) -> Response:
    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Response(status, URL, named, body, elapsed_ms=3)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 226, 299])
def test_a_2xx_is_delivered(status: int) -> None:
    assert judge(answer(status, b"ok"), attempt()) == Verdict("delivered", status, None, "ok")


@pytest.mark.parametrize(
    "status", [101, 199, 304, 400, 401, 403, 404, 408, 422, 429, 500, 503, 599]
)
def test_any_other_status_is_tried_again_by_the_plan(status: int) -> None:
    verdict = judge(answer(status, b"no"), attempt())

    assert (verdict.status, verdict.http_status, verdict.wait_s) == ("retrying", status, 5)
    assert verdict.response_body == "no"
    assert (verdict.error_message or "").startswith(
        f"status: https://hooks.example/in answered {status}"
    )


def test_an_error_does_not_repeat_what_stands_in_the_query() -> None:
    assert "secret" not in (judge(answer(500), attempt()).error_message or "")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_named_and_not_followed(status: int) -> None:
    verdict = judge(answer(status, Location="http://169.254.169.254/latest\0"), attempt())

    assert verdict.status == "retrying"
    assert verdict.error_message == (
        f"redirect: https://hooks.example/in answered {status} and points to"
        " http://169.254.169.254/latest\ufffd"
    )


def test_a_redirect_to_nowhere_is_named_too() -> None:
    message = judge(answer(302), attempt()).error_message or ""

    assert message.startswith("redirect: https://hooks.example/in answered 302 and does not say")


def test_a_long_location_is_cut() -> None:
    message = judge(answer(302, Location="http://x/" + "y" * 9000), attempt()).error_message or ""

    assert len(message) < 500


def test_an_endpoint_that_is_gone_is_not_tried_again() -> None:
    verdict = judge(answer(410), attempt())

    assert (verdict.status, verdict.http_status, verdict.is_gone) == ("failed", 410, True)
    assert verdict.wait_s is None


@pytest.mark.parametrize(
    ("failure_class", "named"),
    [(name, name) for name in ("dns", "connect", "tls", "timeout", "protocol")]
    + [("size", "protocol")],
)
@pytest.mark.parametrize("kind", [HttpPermanent, HttpTransient])
def test_a_failure_on_the_way_is_classed_and_tried_again(
    kind: Any, failure_class: FailureClass, named: str
) -> None:
    verdict = judge(kind("it broke", failure_class=failure_class), attempt())

    assert verdict == Verdict("retrying", None, f"{named}: it broke", None, 5)


def test_a_blocked_address_is_not_tried_again() -> None:
    verdict = judge(HttpPermanent("off limits", failure_class="blocked"), attempt())

    assert verdict == Verdict("blocked", error_message="blocked: off limits")


def test_what_cannot_be_sent_fails_at_once() -> None:
    assert refuse("no secret") == Verdict("failed", error_message="protocol: no secret")


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("120", 120),
        ("1", 5),
        ("0", 5),
        ("Wed, 05 Feb 2025 12:10:00 GMT", 600),
        ("Wed, 05 Feb 2025 11:00:00 GMT", 5),
        ("Wed, 05 Feb 2225 12:00:00 GMT", DAY_S),
        ("999999999", DAY_S),
        *((junk, 5) for junk in ("1e99", "-5", "soon", "", "nan", "inf", "9" * 400, "\0")),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_receiver_may_ask_for_a_longer_wait(status: int, value: str, wait_s: float) -> None:
    assert judge(answer(status, Retry_After=value), attempt()).wait_s == wait_s


@pytest.mark.parametrize("status", [302, 400, 500, 502])
def test_any_other_answer_may_not(status: int) -> None:
    assert judge(answer(status, Retry_After="120"), attempt()).wait_s == 5


def test_asking_for_a_wait_adds_no_attempt() -> None:
    verdict = judge(answer(429, Retry_After="60"), attempt(10))

    assert (verdict.status, verdict.wait_s) == ("failed", None)


def test_the_plan_is_that_of_standard_webhooks() -> None:
    waits = [next_wait_s(rules(), attempts=n, luck=0) for n in range(11)]

    assert waits[1:10] == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert waits[10] is None


@given(n=st.integers(1, 9), luck=st.floats(0, 1, exclude_max=True))
def test_jitter_is_never_early_and_a_tenth_at_most(n: int, luck: float) -> None:
    wait_s = next_wait_s(rules(), attempts=n, luck=luck)

    assert wait_s is not None
    assert RETRY_WAITS_S[n] <= wait_s <= RETRY_WAITS_S[n] * (1 + JITTER)


@pytest.mark.parametrize(
    ("of", "attempts_max"),
    [
        (rules(), 10),
        (rules(max_retries=0), 1),
        (rules(max_retries=3), 4),
        (rules(max_retries=1000), 10),
        (rules(retry_failed=False), 1),
        (RetryRules((0.0,), True, 9), 1),
        (RetryRules((0.0, 1.0), True, 9), 2),
    ],
)
def test_a_webhook_may_shorten_the_plan(of: RetryRules, attempts_max: int) -> None:
    waits = [next_wait_s(of, attempts=n, luck=0) for n in range(1, 12)]

    assert [wait is None for wait in waits] == [n >= attempts_max for n in range(1, 12)]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        (b"a\0b", "a\ufffdb"),
        (b"a\xff\xfeb", "a\ufffd\ufffdb"),
        ("grün".encode("latin-1"), "gr\ufffdn"),
        ("😀".encode(), "😀"),
        ("😀".encode()[:3], "\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ],
)
def test_a_response_is_kept_as_postgres_can_keep_it(body: bytes, text: str) -> None:
    assert read_text(body, is_whole=True) == text


def test_a_response_that_was_cut_ends_before_half_a_character() -> None:
    assert read_text("ab😀".encode()[:5], is_whole=False) == "ab"


@pytest.mark.parametrize("fill", [b"x", "ü".encode(), "😀".encode(), "€".encode(), b"\xff", b"\0"])
@pytest.mark.parametrize("shift", range(4))
def test_a_long_response_is_cut_at_its_limit(fill: bytes, shift: int) -> None:
    text = read_text(b"x" * shift + fill * 20_001, is_whole=True)

    assert RESPONSE_BYTES_MAX - 3 <= len(text.encode()) <= RESPONSE_BYTES_MAX


@given(body=st.binary(max_size=300), is_whole=st.booleans())
def test_any_bytes_become_text_that_can_be_stored(body: bytes, is_whole: bool) -> None:
    text = read_text(body, is_whole=is_whole)

    assert "\0" not in text
    assert text.encode().decode() == text
