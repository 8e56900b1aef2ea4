"""What OpenAI's API accepts in one request, and how long it asks to wait for the next. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime

from pipelines.gateways.embedder import BatchLimits
from pipelines.gateways.gate import Bounds
from pipelines.gateways.http_failures import RETRY_AFTER_S_MAX, parse_retry_after

OPENAI_LIMITS = BatchLimits(inputs_max=2_048, tokens_max=300_000, input_tokens_max=8_192)


_TOO_LONG = re.compile(r"maximum context|context length|too (?:long|large|many tokens)", re.I)


def is_too_long(words: str) -> bool:
    """Whether a refusal speaks of a text's length, in the words of several servers."""
    return _TOO_LONG.search(words) is not None


def rate_limits(headers: Mapping[str, str]) -> tuple[Bounds, Bounds]:
    """Read what is allowed a minute, and what is left of it."""

    def read(what: str) -> Bounds:
        return Bounds(
            tokens=_whole_number(headers.get(f"x-ratelimit-{what}-tokens", "")),
            requests=_whole_number(headers.get(f"x-ratelimit-{what}-requests", "")),
        )

    return read("limit"), read("remaining")


def _whole_number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,12}", text) else None


def rate_limit_wait_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read how long a provider asks to wait: Retry-After, else what its empty buckets need."""
    if (wait_s := asked_wait_s(headers, now=now)) is not None:
        return wait_s
    waits = {
        bucket: parse_duration_s(headers.get(f"x-ratelimit-reset-{bucket}", ""))
        for bucket in ("requests", "tokens")
    }
    empty = [
        wait
        for bucket, wait in waits.items()
        if wait is not None and headers.get(f"x-ratelimit-remaining-{bucket}") == "0"
    ]
    # A request larger than what is left is refused while something is left.
    return max(empty) if empty else waits["tokens"]


def asked_wait_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read Retry-After alone: what a failure says that has nothing to do with the rate."""
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", headers.get("retry-after-ms", "")):
        return min(float(headers["retry-after-ms"]) / 1000, RETRY_AFTER_S_MAX)
    return parse_retry_after(headers.get("retry-after"), now=now)


def parse_duration_s(text: str) -> float | None:
    """Read durations like 1h2m3.5s, 6m0s, 20ms, or plain seconds; None for anything else."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        return min(float(text), RETRY_AFTER_S_MAX)
    number = r"([0-9]{1,9}(?:\.[0-9]+)?)"
    match = re.fullmatch(rf"(?:{number}h)?(?:{number}m(?!s))?(?:{number}s)?(?:{number}ms)?", text)
    if match is None or not text:
        return None
    hours, minutes, seconds, ms = (float(part or 0) for part in match.groups())
    return min(hours * 3600 + minutes * 60 + seconds + ms / 1000, RETRY_AFTER_S_MAX)
