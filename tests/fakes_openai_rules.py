"""What OpenAI's embeddings endpoint refuses, in its own words and JSON shape."""

import json
import math
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import tiktoken

from pipelines.knowledge.tokens import encoding_for

DIMENSIONS = {
    "text-embedding-ada-002": 1536,
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
}
INPUTS_MAX = 2_048
INPUT_TOKENS_MAX = 8_192
REQUEST_TOKENS_MAX = 300_000
ARGUMENTS = {"input", "model", "dimensions", "encoding_format", "user"}


class Refused(Exception):
    def __init__(self, status: int, message: str, *, kind: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": code}}


@dataclass
class Bucket:
    """`per_minute` of something, refilled continuously; None is no limit.

    The first to take finds it full, or else just enough.
    """

    per_minute: int | None
    full: bool = True
    level: float = 0.0
    at: float = 0.0

    def take(self, amount: float) -> float | None:
        """Take `amount`, or say how many seconds it is too early."""
        if self.per_minute is None:
            return None
        now = time.monotonic()
        first = math.inf if self.full else amount
        refilled = self.level + (now - self.at) * self.per_minute / 60 if self.at else first
        self.level, self.at = min(refilled, self.per_minute), now
        if amount > self.level:
            return (amount - self.level) * 60 / self.per_minute
        self.level -= amount
        return None

    def headers(self, name: str) -> dict[str, str]:
        if self.per_minute is None:
            return {}
        missing_s = (self.per_minute - self.level) * 60 / self.per_minute
        return {
            f"x-ratelimit-limit-{name}": str(self.per_minute),
            f"x-ratelimit-remaining-{name}": str(int(self.level)),
            f"x-ratelimit-reset-{name}": f"{missing_s:.3f}s",
        }


def check_key(header: str | None, key: str) -> None:
    if not header or not header.startswith("Bearer "):
        raise Refused(401, "You didn't provide an API key.", kind="invalid_request_error")
    given = header.removeprefix("Bearer ")
    if given != key:
        masked = f"{given[:8]}{'*' * 8}{given[-4:]}"
        message = f"Incorrect API key provided: {masked}."
        raise Refused(401, message, kind="invalid_request_error", code="invalid_api_key")


def parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise invalid("We could not parse the JSON body of your request.")
    if unknown := body.keys() - ARGUMENTS:
        raise invalid(f"Unrecognized request argument supplied: {min(unknown)}")
    return body


def check(body: dict[str, Any]) -> tuple[list[str], list[int]]:
    """Return the texts and their token counts, or refuse as OpenAI would."""
    _check_model(body)
    if body.get("encoding_format", "float") not in ("float", "base64"):
        raise invalid("Invalid value: supported values are 'float' and 'base64'.")
    inputs = _inputs(body.get("input"))
    encoding = _encoding()
    texts = [item if isinstance(item, str) else encoding.decode(item) for item in inputs]
    counts = [len(encoding.encode_ordinary(text)) for text in texts]
    _check_tokens(texts, counts)
    return texts, counts


def _inputs(given: object) -> list[Any]:
    inputs = given if isinstance(given, list) and not _is_tokens(given) else [given]
    if not 0 < len(inputs) <= INPUTS_MAX or not all(_is_input(item) for item in inputs):
        raise invalid("'$.input' is invalid. Please check the API reference.")
    return inputs


def _check_model(body: dict[str, Any]) -> None:
    model, dimensions = body.get("model"), body.get("dimensions")
    if not isinstance(model, str) or not model:
        raise invalid("you must provide a model parameter")
    if model not in DIMENSIONS:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise Refused(404, message, kind="invalid_request_error", code="model_not_found")
    if "dimensions" not in body:
        return
    if model == "text-embedding-ada-002":
        raise invalid("This model does not support specifying dimensions.")
    if not isinstance(dimensions, int) or not 1 <= dimensions <= DIMENSIONS[model]:
        raise invalid(f"Invalid value for 'dimensions': must be 1 to {DIMENSIONS[model]}.")


def _check_tokens(texts: list[str], counts: list[int]) -> None:
    if (longest := max(counts)) > INPUT_TOKENS_MAX:
        raise invalid(
            f"This model's maximum context length is {INPUT_TOKENS_MAX} tokens, however you"
            f" requested {longest} tokens ({longest} in your prompt; 0 for the completion)."
        )
    estimate = sum(
        max(count, math.ceil(len(text.encode("utf-8", "surrogatepass")) / 4))
        for text, count in zip(texts, counts, strict=True)
    )
    if estimate > REQUEST_TOKENS_MAX:
        message = f"Requested {estimate} tokens, max {REQUEST_TOKENS_MAX} tokens per request"
        name = "max_tokens_per_request"
        raise Refused(400, message, kind=name, code=name)


def _is_tokens(item: object) -> bool:
    return isinstance(item, list) and bool(item) and all(type(token) is int for token in item)


def _is_input(item: object) -> bool:
    return (isinstance(item, str) and bool(item)) or _is_tokens(item)


def invalid(message: str) -> Refused:
    return Refused(400, message, kind="invalid_request_error")


def rate_limited(name: str, wait_s: float) -> Refused:
    message = f"Rate limit reached on {name} per min. Please try again in {wait_s:.3f}s."
    return Refused(429, message, kind=name, code="rate_limit_exceeded")


@cache
def _encoding() -> tiktoken.Encoding:
    return encoding_for("text-embedding-ada-002")
