"""JSON and JSON Lines -> a document that reads like text: keys lead, values follow."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace

from pipelines.errors import Permanent
from pipelines.knowledge.charset import decode_text
from pipelines.knowledge.document import Document
from pipelines.knowledge.json_write import Number, Value, write_value
from pipelines.knowledge.language import choose_language
from pipelines.knowledge.raw import Raw

LABEL = "the JSON"
MIME = "application/json"
# Deeper nesting is no content; Python's own parser gives up at about ten times as many.
DEPTH_MAX = 100
LINES_MAX = 500_000
TITLE_CHARS_MAX = 300

_HIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def read(raw: Raw) -> Document:
    """Read JSON; raises Permanent when it is damaged, cut off or nested too deeply."""
    text = decode_text(raw.body, raw.charset).strip()
    value = parse_json(text)
    document = write_value(value, mime=MIME)
    title = _find_title(value)
    return replace(document, title=title, language=choose_language(document.text, declared=None))


def parse_json(text: str) -> Value:
    """One value, or a list of those that stand one on a line."""
    try:
        try:
            value = _loads(text)
        except json.JSONDecodeError as error:
            if not error.msg.startswith("Extra data"):
                raise
            value = _parse_lines(text)
    except json.JSONDecodeError as error:
        raise Permanent(
            f"{LABEL} is damaged or cut off: {error.msg.lower()} "
            f"(line {error.lineno:,}, column {error.colno:,})"
        ) from error
    except RecursionError as error:
        raise _too_deep() from error
    _check_depth(value)
    return value


def _loads(text: str) -> Value:
    value: Value = json.loads(text, parse_int=Number, parse_float=Number, parse_constant=Number)
    return value


def _parse_lines(text: str) -> list[Value]:
    values: list[Value] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        if len(values) >= LINES_MAX:
            raise Permanent(f"{LABEL} has more than {LINES_MAX:,} lines (the limit)")
        try:
            values.append(_loads(line))
        except json.JSONDecodeError as error:
            error.lineno = number
            raise
    return values


def _check_depth(value: Value) -> None:
    """Walk level by level: what is deep must not deepen the stack."""
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [child for parent in level for child in _find_nested(parent)]
        if not level:
            return
    raise _too_deep()


def _find_nested(parent: Value) -> list[Value]:
    children: Iterable[Value] = ()
    if isinstance(parent, dict):
        children = parent.values()
    elif isinstance(parent, list):
        children = parent
    return [child for child in children if isinstance(child, (dict, list))]


def _too_deep() -> Permanent:
    return Permanent(f"{LABEL} is nested too deeply: more than {DEPTH_MAX} levels (the limit)")


def _find_title(value: Value) -> str | None:
    if not isinstance(value, dict):
        return None
    for key in ("title", "name", "headline"):
        title = value.get(key)
        if isinstance(title, str) and not isinstance(title, Number):
            return " ".join(_HIDDEN.sub("", title).split())[:TITLE_CHARS_MAX] or None
    return None
