"""What a chat provider's refusal means: a table from its status and words to an error. Pure.

OpenRouter's errors: {"error": {"code", "message", "metadata"}}, as an HTTP status before a model
has begun, and within a 200 after that. What its own provider said stands in `metadata.raw`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from pipelines.errors import JobError, Misconfigured, Permanent, Transient
from pipelines.gateways.http_failures import RETRY_AFTER_S_MAX
from pipelines.gateways.openai_limits import asked_wait_s, is_too_long, rate_limit_wait_s

# Credits have to be bought first: asking every few seconds helps nobody.
CREDITS_RETRY_AFTER_S = 3_600.0
WORDS_CHARS_MAX = 300
# So much in common with what was sent is no chance.
REPEATED_CHARS_MIN = 10
PROVIDER = "the chat provider"

_MODERATED = re.compile(r"moderat|flagged|content.?(?:policy|filter|management)|safety", re.I)
_NO_MODEL = re.compile(r"not a valid model|model.{0,80}does not exist|model_not_found", re.I)


class ContentRefused(Permanent):
    """The provider does not answer to this content, or to so much of it; it may to other."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error as the provider sent it; `status` is that of HTTP, or the code within a 200.

    `sent` is what it may repeat.
    """

    status: int
    words: str = ""
    code: str = ""
    sent: str = ""
    metadata: Mapping[str, object] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_words(self) -> str:
        """With those of OpenRouter's own provider, which often are the only telling ones."""
        return f"{self.words} {self.code} {self.metadata.get('raw') or ''}"


def read_refusal(
    status: int, error: object, headers: Mapping[str, str], *, sent: str = ""
) -> Refusal:
    """Read an `error` object of any server; what is not one has no words."""
    fields = error if isinstance(error, dict) else {}
    code, metadata = fields.get("code"), fields.get("metadata")
    message = error if isinstance(error, str) else fields.get("message")
    return Refusal(
        status=status,
        words=str(message or ""),
        code=f"{code if isinstance(code, str) else ''} {fields.get('type') or ''}".strip(),
        sent=sent,
        metadata=metadata if isinstance(metadata, dict) else {},
        headers=headers,
    )


def to_error(refusal: Refusal, *, model: str, now: datetime) -> JobError:
    status = refusal.status
    match status:
        case 401:
            return Misconfigured(
                f"{PROVIDER} does not accept the API key (HTTP 401); the operator of this"
                " installation has to check OPENROUTER_API_KEY"
            )
        case 402:
            return _no_credits(refusal, now)
        case 429 if "insufficient_quota" in refusal.code:
            return _no_credits(refusal, now)
        case 429:
            return Transient(
                f"{PROVIDER} is getting more requests than the account's limit (HTTP 429)",
                retry_after_s=find_wait_s(refusal, now=now),
            )
        case _ if status == 404 or _NO_MODEL.search(refusal.all_words):
            return Misconfigured(
                f"{PROVIDER} does not offer the model {model} at this address (HTTP {status}); the"
                " operator of this installation has to check SENTIMENT_MODEL and"
                f" OPENROUTER_BASE_URL: {_shown(refusal)}"
            )
        case _ if status in (408, 409, 421, 425) or status >= 500:
            return Transient(
                f"{PROVIDER} is in trouble (HTTP {status})",
                retry_after_s=asked_wait_s(refusal.headers, now=now),
            )
        case _:
            return _refused_for_good(refusal, model)


def _refused_for_good(refusal: Refusal, model: str) -> Permanent:
    status = refusal.status
    if status in (400, 403, 413, 422) and is_of_content(refusal):
        return ContentRefused(
            f"{PROVIDER} does not judge these messages (HTTP {status}): {_shown(refusal)}"
        )
    if status == 403:
        return Misconfigured(
            f"{PROVIDER} does not let this API key use the model {model} (HTTP 403):"
            f" {_shown(refusal)}"
        )
    return Permanent(f"{PROVIDER} refused the request (HTTP {status}): {_shown(refusal)}")


def is_of_content(refusal: Refusal) -> bool:
    """Whether the messages are why, by their length or by what stands in them."""
    return (
        refusal.status == 413
        or bool({"reasons", "flagged_input"} & refusal.metadata.keys())
        or is_too_long(refusal.all_words)
        or _MODERATED.search(refusal.all_words) is not None
    )


def find_wait_s(refusal: Refusal, *, now: datetime) -> float | None:
    """How long a 429 asks to wait: Retry-After, else when the limit starts anew."""
    if (wait_s := rate_limit_wait_s(refusal.headers, now=now)) is not None:
        return wait_s
    within = refusal.metadata.get("headers")
    repeated = within if isinstance(within, dict) else {}
    lowered = {str(name).lower(): str(value) for name, value in repeated.items()}
    if (wait_s := asked_wait_s(lowered, now=now)) is not None:
        return wait_s
    reset = refusal.headers.get("x-ratelimit-reset") or lowered.get("x-ratelimit-reset", "")
    return parse_reset_s(reset, now=now)


def parse_reset_s(text: str, *, now: datetime) -> float | None:
    """Seconds until a moment in milliseconds (OpenRouter's) or seconds since 1970.

    A number too small for either is of seconds from now.
    """
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", text):
        return None
    number = float(text)
    if number >= 1e11:
        number /= 1000
    wait_s = number - now.timestamp() if number >= 1e9 else number
    return min(max(wait_s, 0.0), RETRY_AFTER_S_MAX)


def _no_credits(refusal: Refusal, now: datetime) -> Transient:
    wait_s = asked_wait_s(refusal.headers, now=now)
    return Transient(
        f"{PROVIDER} refused: the account has no credits left (HTTP {refusal.status})",
        retry_after_s=CREDITS_RETRY_AFTER_S if wait_s is None else wait_s,
    )


def _shown(refusal: Refusal) -> str:
    words = hide_repeated(refusal.words[:WORDS_CHARS_MAX], refusal.sent)
    return words or "it did not say why"


def hide_repeated(words: str, sent: str) -> str:
    """The words, an ellipsis for each run that was sent: visitors' texts do not go into logs.

    Only letters and digits are compared, for either may be escaped.
    """
    shown = _plain(words)
    places = [place for place, char in enumerate(shown) if char.isalnum()]
    said, known = _letters_of(shown), _letters_of(_plain(sent))
    hidden = [False] * len(shown)
    for start in range(len(said) - REPEATED_CHARS_MIN + 1):
        end = start + REPEATED_CHARS_MIN
        if said[start:end] in known:
            first, last = places[start], places[end - 1]
            hidden[first : last + 1] = [True] * (last + 1 - first)
    runs = groupby(zip(shown, hidden, strict=True), key=lambda each: each[1])
    return "".join("…" if is_hidden else "".join(c for c, _ in run) for is_hidden, run in runs)


def _plain(text: str) -> str:
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r"\\.", " ", text)


def _letters_of(text: str) -> str:
    return "".join(filter(str.isalnum, text))
