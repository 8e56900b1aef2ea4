"""What a chat provider refuses, in OpenRouter's JSON shape and the words of those behind it."""

import json
from functools import cache
from typing import Any

import tiktoken

from pipelines.knowledge.tokens import encoding_for

MODELS = {"anthropic/claude-3.5-sonnet", "openai/gpt-4o-mini"}
CONTEXT_TOKENS_MAX = 128_000
ANSWER_TOKENS_MAX = 16_384
MESSAGE_TOKENS = 4
ARGUMENTS = {
    "model", "messages", "response_format", "temperature", "max_tokens", "max_completion_tokens",
    "top_p", "seed", "stop", "user", "provider",
}  # fmt: skip
ROLES = {"system", "user", "assistant"}
# Keywords of JSON Schema that strict mode does not take everywhere.
SCHEMA_KEYS = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "description",
    "anyOf", "$defs", "$ref", "const",
}  # fmt: skip


class Refused(Exception):
    def __init__(
        self,
        status: int,
        message: str,
        *,
        metadata: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        error: dict[str, Any] = {"message": message, "code": status}
        self.body = {"error": error | ({"metadata": metadata} if metadata else {})}


def invalid(message: str) -> Refused:
    """As a provider behind OpenRouter says it."""
    raw = json.dumps({"error": {"message": message, "type": "invalid_request_error"}})
    metadata = {"raw": raw, "provider_name": "Fake"}
    return Refused(400, "Provider returned error", metadata=metadata)


def check_key(header: str | None, key: str) -> None:
    if not header or not header.startswith("Bearer "):
        raise Refused(401, "No auth credentials found")
    if header.removeprefix("Bearer ") != key:
        raise Refused(401, "User not found.")


def parse(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "Invalid JSON in the body")
    if unknown := body.keys() - ARGUMENTS:
        raise invalid(f"Unrecognized request argument supplied: {min(unknown)}")
    return body


def check(body: dict[str, Any], formats: set[str]) -> int:
    """Return the tokens of the prompt, or refuse."""
    if body.get("model") not in MODELS:
        raise Refused(400, f"{body.get('model')} is not a valid model ID")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(map(_is_message, messages)):
        raise invalid("Invalid 'messages': each has a role and content that is a string.")
    temperature = body.get("temperature", 1)
    if not isinstance(temperature, int | float) or not 0 <= temperature <= 2:
        raise invalid("Invalid 'temperature': must be from 0 to 2.")
    if not 1 <= answer_tokens_max(body) <= ANSWER_TOKENS_MAX:
        raise invalid(f"Invalid 'max_tokens': must be from 1 to {ANSWER_TOKENS_MAX}.")
    _check_format(body, formats)
    tokens = sum(MESSAGE_TOKENS + count_tokens(message["content"]) for message in messages)
    if tokens + answer_tokens_max(body) > CONTEXT_TOKENS_MAX:
        raise invalid(
            f"This model's maximum context length is {CONTEXT_TOKENS_MAX} tokens. However, you"
            f" requested {tokens} tokens in the messages."
        )
    return tokens


def answer_tokens_max(body: dict[str, Any]) -> int:
    given = body.get("max_tokens", body.get("max_completion_tokens", ANSWER_TOKENS_MAX))
    return given if type(given) is int else 0


def count_tokens(text: str) -> int:
    return len(_encoding().encode_ordinary(text))


def cut_tokens(text: str, tokens_max: int) -> str:
    return _encoding().decode(_encoding().encode_ordinary(text)[:tokens_max])


def _is_message(message: Any) -> bool:
    return (
        isinstance(message, dict)
        and message.keys() == {"role", "content"}
        and message["role"] in ROLES
        and isinstance(message["content"], str)
        and bool(message["content"])
    )


def _check_format(body: dict[str, Any], formats: set[str]) -> None:
    wanted = body.get("response_format", {"type": "text"})
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in ("json_schema", "json_object", "text"):
        raise invalid("Invalid value for 'response_format.type'.")
    if kind not in formats:
        message = "No endpoints found that can handle the requested parameters."
        raise Refused(404, message)
    if kind == "json_object" and "json" not in json.dumps(body["messages"]).lower():
        raise invalid("'messages' must contain the word 'json' to use 'response_format'.")
    if kind == "json_schema":
        _check_schema_format(wanted.get("json_schema"))


def _check_schema_format(wanted: Any) -> None:
    if not isinstance(wanted, dict) or not isinstance(wanted.get("name"), str):
        raise invalid("Missing required parameter: 'response_format.json_schema.name'.")
    if wanted.get("strict") is not True:
        raise invalid("'response_format.json_schema.strict' must be true for this model.")
    name = wanted["name"]
    schema = wanted.get("schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise invalid(f"Invalid schema for response_format '{name}': the root must be an object.")
    if problem := find_schema_problem(schema):
        raise invalid(f"Invalid schema for response_format '{name}': {problem}")


def find_schema_problem(schema: Any) -> str | None:
    """What strict mode has against a schema, or against one within it."""
    if not isinstance(schema, dict):
        return "a schema must be an object."
    if unknown := schema.keys() - SCHEMA_KEYS:
        return f"'{min(unknown)}' is not permitted."
    within = [*schema.get("properties", {}).values()]
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return "'additionalProperties' is required to be supplied and to be false."
        if sorted(schema.get("required", [])) != sorted(schema.get("properties", {})):
            return "'required' must hold every key in properties."
    if schema.get("type") == "array":
        within.append(schema.get("items"))
    return next(filter(None, map(find_schema_problem, within)), None)


@cache
def _encoding() -> tiktoken.Encoding:
    return encoding_for("text-embedding-ada-002")
