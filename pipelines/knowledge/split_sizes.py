"""How large chunks may be, and the spans that are to become chunks."""

from dataclasses import dataclass
from typing import Self

from pipelines.errors import Permanent

TOKENS_MAX = 512
# One character takes up to 4 tokens; an embedding takes 8,191, headings included.
TOKENS_MAX_RANGE = (4, 7000)
PHRASE_SHARE = 3  # A sentence of more than a third of a chunk may be cut at its commas.


@dataclass(frozen=True, slots=True, order=True)
class Span:
    start: int
    end: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Sizes:
    tokens_max: int
    tokens_target: int
    tokens_overlap: int

    @classmethod
    def of(cls, tokens_max: int, tokens_target: int | None, tokens_overlap: int) -> Self:
        low, high = TOKENS_MAX_RANGE
        if not low <= tokens_max <= high:
            raise Permanent(
                f"chunks of at most {tokens_max} tokens were asked for; "
                f"the limit must lie between {low} and {high}"
            )
        target = tokens_max if tokens_target is None else tokens_target
        if not low <= target <= tokens_max:
            raise Permanent(
                f"chunks of about {target} tokens were asked for; "
                f"the target must lie between {low} and the limit, {tokens_max}"
            )
        if not 0 <= tokens_overlap <= target // 2:
            raise Permanent(
                f"an overlap of {tokens_overlap} tokens was asked for; "
                f"it must lie between 0 and half the target, {target // 2}"
            )
        return cls(tokens_max, target, tokens_overlap)

    @property
    def tokens_fill(self) -> int:
        """Where filling a chunk stops; the overlap is added to it."""
        return self.tokens_target - self.tokens_overlap

    @property
    def phrase_tokens_max(self) -> int:
        return max(self.tokens_fill // PHRASE_SHARE, 1)
