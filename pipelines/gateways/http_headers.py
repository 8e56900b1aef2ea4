"""Which headers a caller may send. Pure."""

import re

# Written by us alone: they decide where a message ends, and who is asked.
RESERVED_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer"}
    | {"expect", "keep-alive", "proxy-authorization", "proxy-connection", "accept-encoding"}
)
# All that another origin is told when a redirect leads there: nothing a caller may have meant
# as a secret.
PORTABLE_HEADERS = frozenset(
    {"accept", "accept-language", "user-agent", "if-none-match", "if-modified-since"}
)
NAME_CHARS_MAX = 200
VALUE_CHARS_MAX = 8_000

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")


def is_reserved(name: str) -> bool:
    return name.lower() in RESERVED_HEADERS


def header_problem(name: str, value: str) -> str | None:
    """Say in a sentence why this is no valid HTTP header; None when it is one."""
    shown = ascii(name[:100])
    if len(name) > NAME_CHARS_MAX or not _NAME.fullmatch(name):
        return f"the header {shown} is not a valid HTTP header: its name cannot be sent"
    if len(value) > VALUE_CHARS_MAX:
        return (
            f"the header {shown} is not a valid HTTP header: its value has"
            f" {len(value):,} characters, limit {VALUE_CHARS_MAX:,}"
        )
    if not _VALUE.fullmatch(value):
        return f"the header {shown} is not a valid HTTP header: its value has control characters"
    return None
