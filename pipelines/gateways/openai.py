"""Embedding by OpenAI, or by a server that speaks its API."""

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal

import httpx2
import numpy as np
import openai

from pipelines.errors import JobError, Misconfigured, Permanent, Transient
from pipelines.gateways.embedder import (
    EMBEDDING_DIMENSIONS,
    NOTHING,
    Embedded,
    InputRefused,
    RateLimited,
    Vectors,
    as_stored,
    sendable,
)
from pipelines.gateways.gate import NO_CLAIMS, OPEN_GATE, Bounds, Claims, Gate, Seen
from pipelines.gateways.openai_limits import (
    OPENAI_LIMITS,
    asked_wait_s,
    is_too_long,
    rate_limit_wait_s,
    rate_limits,
)

REQUEST_TIMEOUT_S = 60.0
# 2,048 vectors of 1,536 numbers as JSON text, twice over.
ANSWER_BYTES_MAX = 150_000_000
# Money has to be added to the account first: asking every few seconds helps nobody.
QUOTA_RETRY_AFTER_S = 3_600.0
PROVIDER_WORDS_CHARS_MAX = 300

# These give more dimensions than are stored unless asked for fewer.
SHORTENED_MODELS = frozenset({"text-embedding-3-large"})
NATIVE_DIMENSIONS = {
    "text-embedding-ada-002": 1536,
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": EMBEDDING_DIMENSIONS,
}

Transfer = Literal["base64", "float"]


class OpenAIEmbedder:
    """One model of one provider; safe to share between threads.

    `transfer` "float" is for gateways that break base64; an answer in the other form than asked
    is understood all the same. The key appears in no message and in no cause.
    """

    limits = OPENAI_LIMITS

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        base_url: str | None = None,
        transfer: Transfer = "base64",
        timeout_s: float = REQUEST_TIMEOUT_S,
        gate: Gate = OPEN_GATE,
        claims: Claims = NO_CLAIMS,
    ) -> None:
        if not re.fullmatch(r"[!-~]+", api_key):
            raise ValueError("the API key is empty or holds spaces or other unusual characters")
        self.model = model
        self.gate = gate
        self.claims = claims
        self._api_key = api_key
        self._transfer: Transfer = transfer
        self._timeout_s = timeout_s
        self._dimensions = NATIVE_DIMENSIONS.get(model)
        # The queue owns the back-off: it sees every failure, and waits without holding a thread.
        self._client = openai.OpenAI(
            api_key=api_key, base_url=base_url, timeout=timeout_s, max_retries=0
        )

    def embed(self, texts: Sequence[str]) -> Embedded:
        if not texts:
            return NOTHING
        sent = sendable(texts, self.limits)
        began_at = time.monotonic()
        with self._translated(began_at):
            answer = self._ask(sent, began_at)
        vectors = _read_vectors(answer, len(texts))
        self._check_dimensions(vectors.shape[1])
        return Embedded(as_stored(vectors), tokens=_billed_tokens(answer))

    def close(self) -> None:
        self._client.close()

    def _ask(self, texts: list[str], began_at: float) -> object:
        """Send one request; the timeout covers the whole answer, not only the wait for more."""
        deadline = began_at + self._timeout_s
        body = bytearray()
        with self._client.embeddings.with_streaming_response.create(
            model=self.model,
            input=texts,
            encoding_format=self._transfer,
            dimensions=EMBEDDING_DIMENSIONS if self.model in SHORTENED_MODELS else openai.omit,
        ) as answer:
            self._learn(answer.headers, began_at)
            for chunk in answer.iter_bytes():
                body += chunk
                if time.monotonic() > deadline:
                    raise self._late()
                if len(body) > ANSWER_BYTES_MAX:
                    raise Transient(
                        "the embedding provider's answer is too large:"
                        f" the limit is {ANSWER_BYTES_MAX:,} bytes"
                    )
        return json.loads(body)

    def _learn(
        self,
        headers: Mapping[str, str],
        began_at: float,
        *,
        refused: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        allowed, left = rate_limits(headers)
        if refused or Bounds() != allowed or Bounds() != left:
            took_s = time.monotonic() - began_at
            self.gate.learn(Seen(allowed, left, took_s, refused, retry_after_s))

    def _check_dimensions(self, dimensions: int) -> None:
        # An unknown model's first answer tells what the later ones must have.
        expected = self._dimensions = self._dimensions or dimensions
        if dimensions != expected:
            raise Transient(
                f"the embedding provider gave vectors of {dimensions} dimensions,"
                f" the model {self.model} has {expected}"
            )

    @contextmanager
    def _translated(self, began_at: float) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            raise self._refusal(error, began_at) from self._harmless(error)
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise self._late() from self._harmless(error)
        except (openai.APIError, httpx2.HTTPError) as error:
            raise Transient("the connection to the embedding provider failed") from self._harmless(
                error
            )
        except ValueError as error:
            raise Transient("the embedding provider did not answer in valid JSON") from error

    def _refusal(self, error: openai.APIStatusError, began_at: float) -> JobError:
        status, provider = error.status_code, "the embedding provider"
        match status:
            case 401:
                return Misconfigured(
                    f"{provider} does not accept the API key (HTTP 401); the operator of this"
                    " installation has to check OPENAI_API_KEY"
                )
            case 404:
                return Permanent(f"{provider} does not offer the model {self.model} (HTTP 404)")
            case 429 if "insufficient_quota" in (error.code, error.type):
                return Transient(
                    f"{provider} refused: the account's quota is used up (HTTP 429)",
                    retry_after_s=QUOTA_RETRY_AFTER_S,
                )
            case 429:
                wait_s = rate_limit_wait_s(error.response.headers, now=datetime.now(UTC))
                self._learn(error.response.headers, began_at, refused=True, retry_after_s=wait_s)
                return RateLimited(
                    f"{provider} is getting more requests than the account's limit (HTTP 429)",
                    retry_after_s=wait_s,
                )
            case _ if status in (408, 409, 425) or status >= 500:
                return Transient(
                    f"{provider} is in trouble (HTTP {status})",
                    retry_after_s=asked_wait_s(error.response.headers, now=datetime.now(UTC)),
                )
            case 400 | 413 | 422:
                words = self._words_of(error)
                return InputRefused(
                    f"{provider} refused the request (HTTP {status}): {words}",
                    too_long=status == 413 or is_too_long(words),
                )
            case _:
                return Permanent(
                    f"{provider} refused the request (HTTP {status}): {self._words_of(error)}"
                )

    def _words_of(self, error: openai.APIStatusError) -> str:
        body = error.body
        words = body.get("message") if isinstance(body, dict) else None
        return str(words or "it did not say why").replace(self._api_key, "***")[
            :PROVIDER_WORDS_CHARS_MAX
        ]

    def _late(self) -> Transient:
        return Transient(
            f"the embedding provider did not answer within {self._timeout_s:g} seconds, the limit"
        )

    def _harmless(self, error: Exception) -> Exception | None:
        # Causes end up in the job's error list; some gateways repeat the key they refuse.
        return None if self._api_key in f"{error} {error.__cause__}" else error


def _read_vectors(answer: object, count: int) -> Vectors:
    """Put the answer's vectors in the order of the texts; the provider's order is its own."""
    items = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(items, list) or len(items) != count:
        found = len(items) if isinstance(items, list) else "no"
        raise Transient(f"the embedding provider gave {found} vectors for {count} texts")
    rows: dict[int, Vectors] = {}
    for item in items:
        index, vector = _read_item(item)
        rows[index] = vector
    if rows.keys() != set(range(count)):
        raise Transient("the embedding provider numbered its vectors wrongly")
    if len({len(row) for row in rows.values()}) != 1:
        raise Transient("the embedding provider gave vectors of different lengths")
    return np.stack([rows[index] for index in range(count)])


def _read_item(item: Any) -> tuple[int, Vectors]:
    try:
        index, embedding = item["index"], item["embedding"]
        if isinstance(embedding, str):
            row = np.frombuffer(base64.b64decode(embedding, validate=True), dtype="<f4")
        else:
            row = np.array(embedding, dtype=np.float32)
        if not isinstance(index, int) or row.ndim != 1 or not row.size:
            raise ValueError("not a numbered row of numbers")
    except (KeyError, TypeError, ValueError) as error:
        raise Transient("the embedding provider gave a vector that cannot be read") from error
    return index, row


def _billed_tokens(answer: Any) -> int:
    usage = answer.get("usage")
    tokens = usage.get("prompt_tokens", usage.get("total_tokens")) if isinstance(usage, dict) else 0
    return tokens if isinstance(tokens, int) and tokens >= 0 else 0
