"""What OpenAI's API accepts in one request, and how long it asks to wait for the next. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime

from pipelines.gateways.embedder import BatchLimits
from pipelines.gateways.http_failures import RETRY_AFTER_S_MAX, parse_retry_after

OPENAI_LIMITS = BatchLimits(inputs_max=2_048, tokens_max=300_000, input_tokens_max=8_192)


def rate_limit_wait_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read how long a provider asks to wait: Retry-After, else what its empty buckets need."""
    if re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", headers.get("retry-after-ms", "")):
        return min(float(headers["retry-after-ms"]) / 1000, RETRY_AFTER_S_MAX)
    if (wait_s := parse_retry_after(headers.get("retry-after"), now=now)) is not None:
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
