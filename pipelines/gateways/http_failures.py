"""What can go wrong on the way to a web address, and whether trying again can help."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from pipelines.errors import Permanent, Transient

FailureClass = Literal[
    "blocked",  # an address that must not be reached
    "dns",
    "connect",
    "tls",
    "timeout",
    "protocol",  # what came back is not, or not all of, an HTTP answer
    "redirect",
    "size",
    "status",
]

RETRY_AFTER_S_MAX = 86_400.0

# Answers that the same request may not get again in a minute; every 5xx is one of them too.
BUSY_STATUSES = frozenset({408, 421, 425, 429})

STATUS_WORDS: Mapping[int, str] = {
    400: "the site refused the request",
    401: "it needs a sign-in",
    402: "it is behind a paywall",
    403: "the site does not allow access to it",
    404: "it was not found",
    405: "the site does not allow reading it",
    406: "the site has no readable form of it",
    407: "it lies behind a proxy that needs a sign-in",
    408: "the site waited too long for the request",
    410: "it is gone for good",
    421: "the site is not set up for this address",
    425: "the site asks to try later",
    429: "the site is receiving too many requests",
    451: "it is not available for legal reasons",
    500: "the site had an internal error",
    502: "the site's gateway got no valid answer",
    503: "the site is unavailable at the moment",
    504: "the site's gateway got no answer in time",
}


class HttpPermanent(Permanent):
    """A refusal, or an answer that will be the same next time."""

    def __init__(
        self, message: str, *, failure_class: FailureClass, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.failure_class: FailureClass = failure_class
        self.status = status


class HttpTransient(Transient):
    """A failure of the moment."""

    def __init__(
        self,
        message: str,
        *,
        failure_class: FailureClass,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.failure_class: FailureClass = failure_class
        self.status = status


HttpFailure = HttpPermanent | HttpTransient


def status_failure(subject: str, status: int, *, retry_after_s: float | None) -> HttpFailure:
    """Turn a status that is no success into a failure; `subject` is what was asked for."""
    message = f"{subject} could not be read: {_status_words(status)} (HTTP {status})"
    if status in BUSY_STATUSES or status >= 500:
        return HttpTransient(
            message, failure_class="status", status=status, retry_after_s=retry_after_s
        )
    return HttpPermanent(message, failure_class="status", status=status)


def _status_words(status: int) -> str:
    if status >= 500:
        return STATUS_WORDS.get(status, "the site had an error")
    return STATUS_WORDS.get(status, "the site refused the request")


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Read a Retry-After header: seconds or an HTTP date, as seconds from `now`.

    At most RETRY_AFTER_S_MAX, never below 0; None for anything that is neither.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,9})?", text):
        return min(float(text), RETRY_AFTER_S_MAX)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return min(max((at - now).total_seconds(), 0.0), RETRY_AFTER_S_MAX)
