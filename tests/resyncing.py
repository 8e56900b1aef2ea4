"""A conditional run of one source, for tests of what is read when little changed."""

from typing import Any
from uuid import UUID

from pipelines import resync_source
from tests.knowledge import Indexing


def resync(knowledge: Indexing, source_id: UUID) -> dict[str, Any]:
    knowledge.conn.execute(
        "SELECT worker.enqueue('resync_source', jsonb_build_object('source_id', %s::text))",
        [source_id],
    )
    with knowledge.attempt() as fence:
        return resync_source.run(
            knowledge.desk(fence), source_id=source_id, crawl=lambda conn, id: None
        )
