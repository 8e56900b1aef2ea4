"""What a reader brings back: the documents of a source, and what tells the next reading apart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.knowledge.document import Document

# What the last complete reading saw; empty when everything has to be read.
Seen = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a source.

    `key` names it within its source for as long as it exists; it is "" where there is only one.
    Without `document` it is as it was when last read, and its chunks stay.
    """

    key: str
    document: Document | None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """All documents that the source has now, in order: what is not among them is gone.

    `seen` is kept until the next reading, JSON values only. `skipped` says, a sentence each, what
    could not be read; the rest is searchable all the same.
    """

    parts: tuple[Part, ...]
    seen: dict[str, Any] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    unchanged: bool = False


def whole(document: Document, *, seen: dict[str, Any] | None = None) -> Reading:
    """The reading of a source that is one document."""
    return Reading((Part("", document),), seen or {})


def unchanged(seen: Seen) -> Reading:
    """The reading of a source in which nothing changed since `seen`."""
    return Reading((), dict(seen), unchanged=True)
