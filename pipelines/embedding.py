"""Vectors for the chunks of a source: recalled where they were paid for, else bought, once."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from db.fence import Fence
from db.sources import Source
from pipelines.errors import Transient
from pipelines.gateways.embedder import Embedder
from pipelines.knowledge.edition import Draft
from pipelines.knowledge.report import Report
from pipelines.knowledge.tokens import encoding_for
from pipelines.spending import Budget
from pipelines.vectors.buying import Bill, Buying, Order
from pipelines.vectors.lots import Text
from pipelines.vectors.shelf import Shelf

QUOTE_CHARS_MAX = 80
TOLD_WAIT_S = 60.0


def embed(
    db: Fence,
    embedder: Embedder,
    source: Source,
    drafts: Sequence[Draft],
    report: Report,
    shelf: Shelf,
) -> list[str]:
    """Put a vector on the shelf for each different text, by its hash.

    Returns a sentence for each passage that the provider refused: it gets no vector, and is found
    by its words alone.
    """
    encoding = encoding_for(embedder.model)
    # One text without a word would have its whole request refused.
    wanted = {draft.text_hash: draft.embedded for draft in drafts if draft.embedded.strip()}
    budget = Budget(db, source)

    def step(done: int, total: int) -> None:
        budget.note_payment()
        report.step("embedding", done, total)

    order = Order(
        texts=[Text.of(text_hash, text, encoding) for text_hash, text in wanted.items()],
        payer=source,
        may_spend=budget.may_spend,
        step=step,
        waits=lambda wait_s: report.tell({"stage": "embedding", "note": waiting(wait_s)}),
    )
    with telling(report):
        bill = vectors_for(db, embedder, order, shelf)
    report.recalled += bill.recalled
    report.tokens_embedded += bill.tokens
    report.cost_usd += bill.cost_usd or Decimal(0)
    return [
        f"passage {quoted(wanted[refusal.text_hash])} has no vector: {refusal.why}"
        for refusal in bill.refused
    ]


@contextmanager
def telling(report: Report) -> Iterator[None]:
    """Tell the owner why the source looks stuck, where the provider puts it off for long."""
    try:
        yield
    except Transient as error:
        wait_s = error.retry_after_s or 0.0
        if wait_s > TOLD_WAIT_S:
            note = f"{error}; it is tried again in {math.ceil(wait_s / 60):,} minutes"
            report.tell({"stage": "embedding", "note": note})
        raise


def vectors_for(db: Fence, embedder: Embedder, order: Order, shelf: Shelf) -> Bill:
    """Put the vectors of an order on a shelf, a dict for example; what was paid for them.

    Raises Permanent or Transient as the provider does, Snooze where its rate asks for a long wait,
    and what `order.may_spend` raises. All that was paid until then is remembered and logged.
    """
    return Buying(db, embedder, order, shelf).run()


def waiting(wait_s: float) -> str:
    return f"waiting for the embedding provider: it goes on in {max(1, round(wait_s)):,} s"


def quoted(text: str) -> str:
    words = " ".join(text.split())
    return f'"{words[:QUOTE_CHARS_MAX]}{"..." if len(words) > QUOTE_CHARS_MAX else ""}"'
