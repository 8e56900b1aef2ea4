"""How far a run is while it runs, and what it did when it is done."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pipelines.counting import plural
from pipelines.knowledge.edition import Edition

# Progress is written on the rows that people watch: often enough to move, seldom enough to cost
# nothing.
TELL_EVERY_S = 0.5


@dataclass(slots=True)
class Report:
    """Stages with their times in ms, and what was read, kept, embedded and paid."""

    model: str
    tell: Callable[[dict[str, Any]], None]
    stages_ms: dict[str, int] = field(default_factory=dict)
    documents: int = 0
    chars: int = 0
    added: int = 0
    kept: int = 0
    removed: int = 0
    recalled: int = 0
    tokens_embedded: int = 0
    cost_usd: Decimal = Decimal(0)
    skipped: Sequence[str] = ()
    _began_at: float = field(default_factory=time.monotonic)
    _told_at: float = field(default_factory=time.monotonic)
    _stage: str = ""
    _stage_began_at: float = 0.0

    @contextmanager
    def stage(self, name: str, *, waits: bool = False) -> Iterator[None]:
        """One that `waits` for others is shown at once, other ones only in a long run."""
        self._stage, self._stage_began_at = name, time.monotonic()
        if waits or self._stage_began_at - self._told_at >= TELL_EVERY_S:
            self._say({"stage": name})
        yield
        self._note_stage()

    def step(self, name: str, done: int, total: int) -> None:
        """Show how much of a stage is done, now and then."""
        if time.monotonic() - self._told_at >= TELL_EVERY_S:
            self._say({"stage": name, "done": done, "total": total})

    def count(self, edition: Edition, *, documents: int) -> None:
        self.documents, self.chars = documents, edition.chars
        self.added, self.kept = len(edition.added), len(edition.kept)

    def sentence(self) -> str:
        return (
            f"{plural(self.added, 'chunk')} added, {self.kept} kept, {self.removed} removed; "
            f"{self.tokens_embedded} tokens embedded with {self.model}, "
            f"{self.recalled} vectors recalled"
        )

    def summary(self) -> dict[str, Any]:
        """The finished report as JSON values; what the source's row shows afterwards."""
        self._note_stage()
        return {
            "stage": "done",
            "model": self.model,
            "stages_ms": self.stages_ms,
            "took_ms": ms_since(self._began_at),
            "documents": self.documents,
            "chars": self.chars,
            "chunks_added": self.added,
            "chunks_kept": self.kept,
            "chunks_removed": self.removed,
            "embeddings_recalled": self.recalled,
            "tokens_embedded": self.tokens_embedded,
            "cost_usd": str(self.cost_usd),
            **({"skipped": list(self.skipped)} if self.skipped else {}),
        }

    def _note_stage(self) -> None:
        self.stages_ms[self._stage] = ms_since(self._stage_began_at)

    def _say(self, progress: dict[str, Any]) -> None:
        self._told_at = time.monotonic()
        self.tell(progress)


def ms_since(moment: float) -> int:
    return round((time.monotonic() - moment) * 1000)
