"""One chat completion with structured output: OpenRouter, or a server that speaks OpenAI's API."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

import httpx2
import openai
from openai.types.shared_params import (
    ResponseFormatJSONObject,
    ResponseFormatJSONSchema,
)

from pipelines.errors import JobError, Transient
from pipelines.gateways.chat_dialect import STEPS_MAX, Dialect, simplify
from pipelines.gateways.chat_failures import (
    PROVIDER,
    Refusal,
    read_refusal,
    to_error,
)
from pipelines.gateways.chat_http import BoundedClient, late

REQUEST_TIMEOUT_S = 60.0
# A code within a 200 that is none of HTTP's says no more than that the provider failed.
UNKNOWN_STATUS = 502

Ending = Literal["whole", "cut", "refused", "empty", "broken"]


@dataclass(frozen=True, slots=True)
class Question:
    """`schema` says what the answer looks like, within the rules of strict structured output.

    `system` has to say so too, with the word JSON: not every model is given a schema.
    """

    system: str
    content: str
    name: str
    schema: Mapping[str, object]
    tokens_max: int


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer that was billed, whether it can be used or not: `text` is all there is of it."""

    text: str
    ending: Ending
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Chat(Protocol):
    model: str

    def complete(self, question: Question) -> Completion:
        """Ask once; raises Permanent or Transient where nothing was billed."""
        ...


class ChatClient:
    """One model of one provider; safe to share between threads.

    What the provider does not understand of a request is left out for the life of the process.
    The key appears in no message and in no cause.
    """

    def __init__(
        self, *, api_key: str, model: str, base_url: str, timeout_s: float = REQUEST_TIMEOUT_S
    ) -> None:
        if not re.fullmatch(r"[!-~]+", api_key):
            raise ValueError("the API key is empty or holds spaces or other unusual characters")
        self.model = model
        self.dialect = Dialect()
        self._api_key = api_key
        self._timeout_s = timeout_s
        # The queue owns the back-off: it sees every failure, and waits without holding a thread.
        self._client = openai.OpenAI(
            api_key=api_key,
            base_url=base_url,
            timeout=timeout_s,
            max_retries=0,
            http_client=BoundedClient(timeout_s=timeout_s),
        )

    def complete(self, question: Question) -> Completion:
        for _ in range(STEPS_MAX):
            dialect = self.dialect
            try:
                return self._ask(question, dialect)
            except _NotUnderstood as refused:
                self.dialect = refused.simpler
        return self._ask(question, self.dialect)

    def close(self) -> None:
        self._client.close()

    def _ask(self, question: Question, dialect: Dialect) -> Completion:
        with self._translated(question, dialect):
            answer = self._client.chat.completions.with_raw_response.create(
                model=self.model,
                messages=[
                    {"role": "system", "content": question.system},
                    {"role": "user", "content": question.content},
                ],
                response_format=_format(question, dialect) or openai.omit,
                temperature=0 if dialect.has_temperature else openai.omit,
                extra_body={dialect.limit_name: question.tokens_max},
            )
            body = json.loads(answer.content)
        return self._read(body, answer.headers, question)

    def _read(self, body: Any, headers: Mapping[str, str], question: Question) -> Completion:
        """OpenRouter answers 200 before the model has begun: what fails later stands within."""
        if not isinstance(body, dict):
            raise Transient(f"{PROVIDER} did not answer with a JSON object")
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        choice = choice if isinstance(choice, dict) else {}
        prompt_tokens, completion_tokens = _read_usage(body)
        error = body.get("error") or choice.get("error")
        if error and not prompt_tokens:
            raise self._refused(
                read_refusal(_code_of(error), error, headers, sent=question.content)
            )
        text, ending = _read_choice(choice)
        return Completion(text, "broken" if error else ending, prompt_tokens, completion_tokens)

    @contextmanager
    def _translated(self, question: Question, dialect: Dialect) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            refusal = read_refusal(
                error.status_code,
                _error_of(error.body),
                error.response.headers,
                sent=question.content,
            )
            simpler = simplify(dialect, status=refusal.status, words=refusal.all_words)
            if simpler is not None:
                raise _NotUnderstood(simpler) from None
            raise self._refused(refusal) from self._harmless(error)
        except (openai.APITimeoutError, httpx2.TimeoutException) as error:
            raise late(self._timeout_s) from self._harmless(error)
        except (openai.APIError, httpx2.HTTPError) as error:
            raise Transient(f"the connection to {PROVIDER} failed") from self._harmless(error)
        except (ValueError, RecursionError):
            raise Transient(f"{PROVIDER} did not answer in valid JSON") from None

    def _refused(self, refusal: Refusal) -> JobError:
        error = to_error(refusal, model=self.model, now=datetime.now(UTC))
        error.args = tuple(str(each).replace(self._api_key, "***") for each in error.args)
        return error

    def _harmless(self, error: Exception) -> Exception | None:
        # Causes end up in the job's error list: some gateways repeat the key they refuse, and
        # some the visitor's words.
        return None if isinstance(error, openai.APIStatusError) else error


class _NotUnderstood(Exception):
    def __init__(self, simpler: Dialect) -> None:
        super().__init__(simpler)
        self.simpler = simpler


def _format(
    question: Question, dialect: Dialect
) -> ResponseFormatJSONSchema | ResponseFormatJSONObject | None:
    match dialect.format:
        case "json_schema":
            return {
                "type": "json_schema",
                "json_schema": {
                    "name": question.name,
                    "strict": True,
                    "schema": dict(question.schema),
                },
            }
        case "json_object":
            return {"type": "json_object"}
        case _:
            return None


def _read_choice(choice: Mapping[str, Any]) -> tuple[str, Ending]:
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    reason = choice.get("finish_reason")
    if message.get("refusal") or reason == "content_filter":
        return text, "refused"
    if reason == "error":
        return text, "broken"
    if reason == "length":
        return text, "cut"
    return text, "whole" if text.strip() else "empty"


def _read_usage(body: Mapping[str, Any]) -> tuple[int, int]:
    usage = body.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens"))


def _count(tokens: object) -> int:
    return tokens if type(tokens) is int and tokens > 0 else 0


def _code_of(error: object) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and re.fullmatch(r"[45][0-9]{2}", code):
        code = int(code)
    return code if isinstance(code, int) and 400 <= code <= 599 else UNKNOWN_STATUS


def _error_of(body: object) -> object:
    """The SDK hands over what `error` holds, or else the whole body."""
    if isinstance(body, dict) and isinstance(body.get("error"), dict | str):
        return body["error"]
    return body
