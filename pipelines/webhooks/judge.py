"""What an attempt came to: from an answer or a failure to the columns of the delivery. Pure."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Literal

from pipelines.gateways.http import REDIRECTS, Response
from pipelines.gateways.http_failures import FailureClass, HttpFailure, parse_retry_after
from pipelines.webhooks.plan import RetryRules, next_wait_s

RESPONSE_BYTES_MAX = 20_000
URL_CHARS_SHOWN = 300

Status = Literal["delivered", "retrying", "failed", "blocked"]

# The classes of the deliveries' error messages are fewer than the client's.
ERROR_CLASSES: Mapping[FailureClass, str] = {"size": "protocol"}
GONE = 410
# They say when they expect to be asked again, and mean it.
BUSY = frozenset({429, 503})
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt: which one (from 1), under which rules, when it ended; `luck` is in [0, 1)."""

    number: int
    rules: RetryRules
    ended_at: datetime
    luck: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`wait_s` is set where it is tried again; `is_gone`: the endpoint wants no more of any."""

    status: Status
    http_status: int | None = None
    error_message: str | None = None
    response_body: str | None = None
    wait_s: float | None = None
    is_gone: bool = False


def judge(outcome: Response | HttpFailure, attempt: Try) -> Verdict:
    """A 2xx is success however its body ended; everything else is not."""
    if isinstance(outcome, Response):
        return judge_answer(outcome, attempt)
    error_class = ERROR_CLASSES.get(outcome.failure_class, outcome.failure_class)
    message = f"{error_class}: {outcome}"
    if error_class == "blocked":
        return Verdict("blocked", error_message=message)
    return _failure(attempt, Verdict("failed", error_message=message))


def refuse(why: str) -> Verdict:
    """What cannot be sent as the webhook is set up now: trying again would change nothing."""
    return Verdict("failed", error_message=f"protocol: {why}")


def judge_answer(answer: Response, attempt: Try) -> Verdict:
    text = read_text(answer.body, is_whole=answer.body_complete)
    if 200 <= answer.status < 300:
        return Verdict("delivered", answer.status, None, text)
    verdict = Verdict("failed", answer.status, describe(answer), text)
    if answer.status == GONE:
        return Verdict(
            "failed", GONE, f"{describe(answer)}: nothing more is sent to it", text, is_gone=True
        )
    asked_s = None
    if answer.status in BUSY:
        asked_s = parse_retry_after(answer.headers.get("Retry-After"), now=attempt.ended_at)
    return _failure(attempt, verdict, asked_s)


def _failure(attempt: Try, verdict: Verdict, asked_s: float | None = None) -> Verdict:
    wait_s = next_wait_s(attempt.rules, attempts=attempt.number, luck=attempt.luck, asked_s=asked_s)
    if wait_s is None:
        return verdict
    return Verdict(
        "retrying", verdict.http_status, verdict.error_message, verdict.response_body, wait_s
    )


def describe(answer: Response) -> str:
    """ "status: https://x.example/in answered 500 (Internal Server Error)"."""
    url = shown(answer.url.partition("?")[0])
    location = answer.headers.get("Location")
    if answer.status in REDIRECTS:
        target = f"points to {shown(location)}" if location else "does not say where it points to"
        return f"redirect: {url} answered {answer.status} and {target}"
    return f"status: {url} answered {answer.status}{_phrase(answer.status)}"


def _phrase(status: int) -> str:
    try:
        return f" ({HTTPStatus(status).phrase})"
    except ValueError:
        return ""


def shown(text: str) -> str:
    """A receiver's words in a message of ours: printable, and not too many."""
    cut = text if len(text) <= URL_CHARS_SHOWN else f"{text[:URL_CHARS_SHOWN]}..."
    return _UNPRINTABLE.sub("\ufffd", cut)


def read_text(body: bytes, *, is_whole: bool) -> str:
    """What Postgres can keep of a body: valid UTF-8 without NUL, at most RESPONSE_BYTES_MAX.

    Of a body that was cut, half a character at the end is left out.
    """
    is_whole = is_whole and len(body) <= RESPONSE_BYTES_MAX
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(body[:RESPONSE_BYTES_MAX], final=is_whole).replace("\0", "\ufffd")
    # A byte that is no UTF-8 becomes a character of three.
    return text.encode()[:RESPONSE_BYTES_MAX].decode("utf-8", "ignore")
