"""Vectors for the chunks of a source: recalled where they were paid for, else bought, once."""

from collections.abc import Sequence
from decimal import Decimal

from db import chunks, sources
from db.chunks import Paid
from db.fence import Fence
from db.sources import Source
from db.vectors import Vector
from pipelines.gateways.embedder import Embedded, Embedder, pack, price_usd
from pipelines.knowledge.edition import Draft
from pipelines.knowledge.report import Report
from pipelines.knowledge.tokens import encoding_for


def embed(
    db: Fence, embedder: Embedder, source: Source, drafts: Sequence[Draft], report: Report
) -> dict[bytes, Vector]:
    """A vector for each different text, by its hash: recalled, or asked for batch by batch."""
    vectors = recall(db, embedder, drafts)
    report.recalled = len(vectors)
    wanted = {draft.text_hash: draft for draft in drafts if draft.text_hash not in vectors}
    missing = list(wanted.values())
    sizes = [len(draft.embedded.encode()) for draft in missing]
    encode = encoding_for(embedder.model).encode_ordinary
    counts = [len(encode(draft.embedded)) for draft in missing]
    for batch in pack(counts, sizes, embedder.limits):
        asked = missing[batch.start : batch.stop]
        embedded = embedder.embed([draft.embedded for draft in asked])
        pay(db, embedder, source, asked, embedded, counts[batch.start : batch.stop])
        vectors |= zip((draft.text_hash for draft in asked), embedded.vectors, strict=True)
        report.tokens_embedded += sum(counts[batch.start : batch.stop])
        report.cost_usd += price_usd(embedder.model, embedded.tokens) or Decimal(0)
        report.step("embedding", batch.stop, len(missing))
    return vectors


def is_free(embedder: Embedder) -> bool:
    """Nothing is gained by remembering what costs nothing to make again."""
    return price_usd(embedder.model, 1) == 0


def recall(db: Fence, embedder: Embedder, drafts: Sequence[Draft]) -> dict[bytes, Vector]:
    if is_free(embedder):
        return {}
    with db.write() as conn:
        return chunks.recall_vectors(
            conn, model=embedder.model, hashes=[draft.text_hash for draft in drafts]
        )


def pay(
    db: Fence,
    embedder: Embedder,
    source: Source,
    asked: Sequence[Draft],
    embedded: Embedded,
    counts: Sequence[int],
) -> None:
    """Remember the vectors and log the cost, in one transaction: once for each paid request."""
    tokens = embedded.tokens or sum(counts)
    cost = price_usd(embedder.model, tokens) or Decimal(0)
    with db.write() as conn:
        if not is_free(embedder):
            paid = [
                Paid(draft.text_hash, vector, count)
                for draft, vector, count in zip(asked, embedded.vectors, counts, strict=True)
            ]
            chunks.remember_vectors(conn, paid, model=embedder.model)
        sources.log_embedding(
            conn, source, model=embedder.model, tokens=tokens, unit_cost=cost / tokens, cost=cost
        )
