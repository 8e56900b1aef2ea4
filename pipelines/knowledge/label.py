"""How messages call a file: its name as far as a person can read it."""

import re

LABEL_CHARS_MAX = 80

# Controls, marks that turn the writing direction, and halves of characters.
_UNREADABLE = re.compile(
    "[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def make_label(name: str | None, *, default: str = "the document") -> str:
    """The name on one line of at most LABEL_CHARS_MAX, its end kept: it says what the file is."""
    shown = " ".join(_UNREADABLE.sub("", name or "").split())
    if len(shown) > LABEL_CHARS_MAX:
        shown = "…" + shown[1 - LABEL_CHARS_MAX :]
    return shown or default
