"""The headers of a delivery: ours, and of the owner's what does not touch ours. Pure."""

from collections.abc import Mapping
from typing import Any

from pipelines.gateways.http_headers import header_problem, is_reserved

USER_AGENT = "Avivro-Webhooks/1.0"
CONTENT_TYPE = "application/json"
OWN_PREFIX = "webhook-"
OWN_NAMES = frozenset({"content-type", "content-encoding", "user-agent"})
CUSTOM_HEADERS_MAX = 50


class UnusableHeader(ValueError):
    """An entry of webhooks.custom_headers that cannot be sent; the message names it."""


def write_headers(
    message_id: str, *, at_s: int, signature: str, custom: Mapping[str, Any]
) -> dict[str, str]:
    """All headers but those of HTTP itself. Raises UnusableHeader."""
    return _allowed(custom) | {
        "Content-Type": CONTENT_TYPE,
        "User-Agent": USER_AGENT,
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": signature,
    }


def _allowed(custom: Mapping[str, Any]) -> dict[str, str]:
    if len(custom) > CUSTOM_HEADERS_MAX:
        raise UnusableHeader(
            f"the webhook has {len(custom)} custom headers, limit {CUSTOM_HEADERS_MAX}"
        )
    return {name: _checked(name, value) for name, value in custom.items() if not _is_ours(name)}


def _is_ours(name: str) -> bool:
    # Servers that hand headers on as variables tell `webhook_id` from `webhook-id` no more.
    plain = name.strip().lower().replace("_", "-")
    return plain in OWN_NAMES or plain.startswith(OWN_PREFIX) or is_reserved(plain)


def _checked(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UnusableHeader(f"the custom header {name[:100]!a} has a value that is no text")
    if problem := header_problem(name, value):
        raise UnusableHeader(f"the webhook's custom headers cannot be sent: {problem}")
    return value
