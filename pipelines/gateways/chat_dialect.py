"""What a chat provider understands of a request: found out by asking for less after a refusal."""

import re
from dataclasses import dataclass, replace
from typing import Literal

Format = Literal["json_schema", "json_object", "text"]
_LESS: dict[Format, Format] = {"json_schema": "json_object", "json_object": "text"}
REFUSING_STATUSES = frozenset({400, 404, 422})
# One step for each way below: two of the format, the temperature, the name of the limit.
STEPS_MAX = 4

_FORMAT = re.compile(
    r"response.?format|json.?(?:schema|object|mode)|structured.?output|output.?(?:config|format)"
    # OpenRouter's words where no provider of the model takes them all; it does not say which.
    r"|requested parameters",
    re.I,
)
_TEMPERATURE = re.compile(r"temperature", re.I)
_LIMIT = re.compile(r"max_tokens.*max_completion_tokens", re.I | re.S)


@dataclass(frozen=True, slots=True)
class Dialect:
    format: Format = "json_schema"
    has_temperature: bool = True
    limit_name: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


def simplify(dialect: Dialect, *, status: int, words: str) -> Dialect | None:
    """The dialect without what a refusal speaks of; None where it speaks of nothing in it."""
    if status not in REFUSING_STATUSES:
        return None
    if dialect.has_temperature and _TEMPERATURE.search(words):
        return replace(dialect, has_temperature=False)
    if dialect.limit_name == "max_tokens" and _LIMIT.search(words):
        return replace(dialect, limit_name="max_completion_tokens")
    if dialect.format in _LESS and _FORMAT.search(words):
        return replace(dialect, format=_LESS[dialect.format])
    return None
