"""What Notion's rich text and the properties of a page say, as text."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

# Whoever made or changed a page, and when, is no knowledge.
UNSPOKEN = frozenset(
    {"title", "created_time", "created_by", "last_edited_time", "last_edited_by", "button"}
    | {"verification", "relation"}
)
NAMES_MAX = 200


def write_text(rich_text: Any) -> str:
    """The words, with their links as Markdown."""
    spans = rich_text if isinstance(rich_text, list) else []
    return "".join(_write_span(span) for span in spans if isinstance(span, dict))


def _write_span(span: Mapping[str, Any]) -> str:
    text, link = text_of(span.get("plain_text")), span.get("href")
    is_web = isinstance(link, str) and link.startswith(("http://", "https://"))
    if not is_web or not text.strip() or text == link:
        return text
    return f"[{text}]({text_of(link)})"


def plain(rich_text: Any) -> str:
    spans = rich_text if isinstance(rich_text, list) else []
    return "".join(text_of(span.get("plain_text")) for span in spans if isinstance(span, dict))


def text_of(text: Any) -> str:
    """ "" for what is no text."""
    return text if isinstance(text, str) else ""


def title_of(page: Mapping[str, Any]) -> str:
    """The page's title; "" where it has none."""
    for value in _properties(page).values():
        if isinstance(value, dict) and value.get("type") == "title":
            return " ".join(plain(value.get("title")).split())
    return ""


def write_properties(page: Mapping[str, Any]) -> str:
    """A line for each property that says something, as the row's reader sees them."""
    lines = []
    for name, value in _properties(page).items():
        if isinstance(value, dict) and value.get("type") not in UNSPOKEN:
            text = " ".join(write_property(value).split())
            if text:
                lines.append(f"{text_of(name)}: {text}")
    return "\n".join(lines)


def _properties(page: Mapping[str, Any]) -> dict[str, Any]:
    properties = page.get("properties")
    return properties if isinstance(properties, dict) else {}


def write_property(value: Mapping[str, Any]) -> str:
    kind = value.get("type")
    inner = value.get(kind) if isinstance(kind, str) else None
    write = _WRITERS.get(str(kind))
    return "" if write is None or inner is None else write(inner)


def _named(inner: Any) -> str:
    return text_of(inner.get("name")) if isinstance(inner, dict) else ""


def _names(inner: Any) -> str:
    listed = inner if isinstance(inner, list) else []
    return ", ".join(name for name in map(_named, listed[:NAMES_MAX]) if name)


def _date(inner: Any) -> str:
    if not isinstance(inner, dict):
        return ""
    return " to ".join(text_of(inner[end]) for end in ("start", "end") if inner.get(end))


def _unique(inner: Any) -> str:
    if not isinstance(inner, dict):
        return ""
    parts = [str(inner[name]) for name in ("prefix", "number") if inner.get(name) is not None]
    return text_of("-".join(parts))


def _rollup(inner: Any) -> str:
    if isinstance(inner, dict) and inner.get("type") == "array":
        return ", ".join(_rolled(inner.get("array")))
    return write_property(inner) if isinstance(inner, dict) else ""


def _rolled(values: Any) -> Iterator[str]:
    for value in (values if isinstance(values, list) else [])[:NAMES_MAX]:
        if isinstance(value, dict) and (text := write_property(value)):
            yield text


def _nested(inner: Any) -> str:
    return write_property(inner) if isinstance(inner, dict) else ""


def _number(inner: Any) -> str:
    return str(inner) if isinstance(inner, int | float) else ""


_WRITERS: Mapping[str, Callable[[Any], str]] = {
    "title": plain,
    "rich_text": write_text,
    "number": _number,
    "select": _named,
    "status": _named,
    "multi_select": _names,
    "people": _names,
    "files": _names,
    "date": _date,
    "checkbox": lambda inner: "yes" if inner is True else "no",
    "boolean": lambda inner: "yes" if inner is True else "no",
    "string": text_of,
    "url": text_of,
    "email": text_of,
    "phone_number": text_of,
    "formula": _nested,
    "rollup": _rollup,
    "unique_id": _unique,
    "created_time": text_of,
    "last_edited_time": text_of,
}
