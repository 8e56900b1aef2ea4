"""The story of `prune`: forget what is old, in batches that hold nobody up."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from db import retention
from db.fence import Fence
from db.pool import Connection
from db.retention import Batch

BATCH_ROWS = 1000
# The next tick goes on where this one stopped.
DURATION_S_MAX = 240.0


class Delete(Protocol):
    def __call__(self, conn: Connection, *, since: datetime | None, rows_max: int) -> Batch: ...


DELETIONS: dict[str, Delete] = {
    "jobs": retention.delete_jobs,
    "probe_effects": retention.delete_effects,
    "embedding_cache": retention.delete_vectors,
    "schedule_ticks": retention.delete_ticks,
    "buckets": retention.delete_buckets,
    "minutes": retention.delete_minutes,
    "hosts": retention.delete_hosts,
    "fetched_pages": retention.delete_fetched,
    "sync_runs": retention.delete_runs,
    "delivery_bodies": retention.delete_bodies,
    "delivery_attempts": retention.delete_attempts,
    "retired_secrets": retention.delete_secrets,
    "email_events": retention.delete_events,
    "analytics_events": retention.delete_analytics,
    "activity_logs": retention.delete_activity,
    "read_notifications": retention.delete_read_notifications,
    "notifications": retention.delete_notifications,
    "email_logs": retention.delete_emails,
    "webhook_deliveries": retention.delete_deliveries,
    "lead_reminders": retention.delete_lead_reminders,
    "reminders": retention.delete_reminders,
    "lane_holds": retention.delete_holds,
    "reopened_conversations": retention.delete_reopenings,
}


def run(db: Fence, *, duration_s_max: float = DURATION_S_MAX) -> dict[str, Any]:
    """How many rows of each table went, and whether that was all."""
    until = time.monotonic() + duration_s_max
    deleted = dict.fromkeys(DELETIONS, 0)
    for table, delete in DELETIONS.items():
        for count in batches(partial(delete_batch, db, delete), rows_max=BATCH_ROWS):
            deleted[table] += count
            db.report({"stage": table, "done": deleted[table]})
            if time.monotonic() >= until:
                return {"deleted": deleted, "complete": False}
    return {"deleted": deleted, "complete": True}


def batches(
    delete_next: Callable[[datetime | None, int], Batch], *, rows_max: int
) -> Iterator[int]:
    """The size of each batch until one is not full; each goes on where the last ended."""
    since: datetime | None = None
    while True:
        batch = delete_next(since, rows_max)
        since = batch.last_at or since
        if batch.deleted:
            yield batch.deleted
        if batch.deleted < rows_max:
            return


def delete_batch(db: Fence, delete: Delete, since: datetime | None, rows_max: int) -> Batch:
    """One short transaction."""
    with db.write() as conn:
        return delete(conn, since=since, rows_max=rows_max)
