"""What a page asks of crawlers: the words of X-Robots-Tag headers and robots meta elements."""

import re

# A crawler obeys these; the other words are about the result pages of search engines.
OBEYED = frozenset({"noindex", "nofollow"})
_ALL = "none"
# They are written `word: value`, as what is said to one agent is.
_VALUED = frozenset(
    {"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview", "refresh"}
)
_AGENT = re.compile(r"\s*([A-Za-z0-9_*.\-]{1,80})\s*:(.*)", re.DOTALL)


def parse_robots(value: str, *, agent: str) -> frozenset[str]:
    """The directives among OBEYED that are said to everybody or to `agent`; `none` is both.

    `value` is one header value or the content of a meta element. An agent's name holds for the
    directives up to the next name; values of several headers may be joined by a comma.
    """
    found: set[str] = set()
    is_ours = True
    for part in value.split(","):
        named = _AGENT.fullmatch(part)
        word = part.strip().lower()
        if named and named[1].lower() not in _VALUED:
            is_ours = named[1].lower() in ("*", agent.lower())
            word = named[2].strip().lower()
        if is_ours:
            found |= OBEYED if word == _ALL else OBEYED & {word}
    return frozenset(found)
