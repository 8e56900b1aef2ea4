"""The story of `announce_leads`: leads that came in a burst are mailed together."""

from typing import Any

from db import announcements
from db.fence import Fence
from pipelines.batching import repeat

BATCH_AGENTS = 200
# The next tick goes on where this one stopped.
BATCHES_MAX = 20


def run(db: Fence) -> dict[str, Any]:
    def announce_next() -> int:
        with db.write() as conn:
            return announcements.announce_leads(conn, agents_max=BATCH_AGENTS)

    return {"agents": repeat(announce_next, rows_max=BATCH_AGENTS, batches_max=BATCHES_MAX)}
