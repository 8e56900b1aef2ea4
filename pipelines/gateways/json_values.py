"""JSON from servers, without what neither a document nor the database can hold."""

from typing import Any


def clean(value: Any) -> Any:
    """The same value, its texts without NULs and lone surrogates; raises RecursionError."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, list):
        return [clean(each) for each in value]
    if isinstance(value, dict):
        return {clean_text(name): clean(each) for name, each in value.items()}
    return value


def clean_text(text: str) -> str:
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "").encode("utf-8", "replace").decode()
