"""What one source may hold, counted while it is read: not after the memory is gone."""

from dataclasses import dataclass

from pipelines.errors import Permanent
from pipelines.knowledge.document import Document

DOCUMENTS_MAX = 20_000
CHARS_MAX = 100_000_000


@dataclass(slots=True)
class Budget:
    documents: int = 0
    chars: int = 0

    def take(self, document: Document) -> None:
        """Raises Permanent for the document that is too much."""
        self.documents += 1
        self.chars += len(document.text)
        if self.documents > DOCUMENTS_MAX:
            raise Permanent(f"this source has more than {DOCUMENTS_MAX:,} documents, the limit")
        if self.chars > CHARS_MAX:
            raise Permanent(f"this source has more than {CHARS_MAX:,} characters, the limit")
