"""What the environment may say of who gets in to the dashboard. Raises ValueError in words."""

import re

# What answers without a login, unless it is closed.
CLOSABLE = ("metrics", "healthz", "readyz")
# Admins are added by name.
GIVEN_ROLES = ("viewer", "operator")


def parse_closed(text: str) -> frozenset[str]:
    """Which of CLOSABLE are answered with 404."""
    names = frozenset(part.strip() for part in text.split(",")) - {""}
    if unknown := sorted(names - set(CLOSABLE)):
        raise ValueError(
            f"there is no {unknown[0]!r} to close, only {', '.join(CLOSABLE)}; "
            "for example metrics,readyz"
        )
    return names


def parse_header(text: str) -> str | None:
    if text and re.fullmatch(r"[A-Za-z0-9-]{1,100}", text) is None:
        raise ValueError(f"{text[:40]!r} is no header; for example X-Forwarded-User")
    return text or None


def parse_role(text: str) -> str | None:
    """None lets nobody in who was not added by name."""
    if text and text not in GIVEN_ROLES:
        raise ValueError(f"it is viewer or operator, not {text[:40]}; admins are added by name")
    return text or None
