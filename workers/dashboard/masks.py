"""What strangers wrote, made fit to be shown: cut, without what bends a line, addresses hidden."""

import re
from urllib.parse import urlsplit

NAME_CHARS_MAX = 120
TEXT_CHARS_MAX = 400
URL_CHARS_MAX = 200
# Control characters, marks that turn the direction of writing, and what is invisible.
UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")
ADDRESS = re.compile(r"[^\s<>\"'(),;:\[\]]{1,254}@([^\s<>\"'(),;:\[\]@]{1,255})")
HIDDEN = "\u2026"


def cut(text: str | None, chars_max: int = TEXT_CHARS_MAX) -> str:
    """One line of at most so many characters."""
    given = text or ""
    plain = " ".join(UNFIT.sub(" ", given[:chars_max]).split())
    return plain if len(given) <= chars_max else plain[: chars_max - 1] + HIDDEN


def name(text: str | None) -> str:
    """A name that is never empty."""
    return cut(text, NAME_CHARS_MAX) or "(no name)"


def url(text: str | None) -> str:
    """An address to read, not to follow: without user, password, query and fragment."""
    if not text:
        return ""
    try:
        parts = urlsplit(text.strip())
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return cut("(no address)")
    if not host:
        return cut(f"{parts.scheme}:{HIDDEN}" if parts.scheme else parts.path, URL_CHARS_MAX)
    query = f"?{HIDDEN}" if parts.query else ""
    return cut(f"{host}{parts.path}{query}", URL_CHARS_MAX)


def address(text: str | None) -> str:
    """j***@example.com; of what is no address, nothing."""
    found = ADDRESS.search((text or "")[:1_000])
    return "***" if found is None else hide(found)


def addresses(text: str | None, chars_max: int = TEXT_CHARS_MAX) -> str:
    """A text in which every mail address is hidden."""
    return cut(ADDRESS.sub(hide, (text or "")[: 2 * chars_max]), chars_max)


def hide(found: re.Match[str]) -> str:
    return f"{found[0][0]}***@{found[1]}"
