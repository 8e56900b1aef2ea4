"""Jobs that wait for other jobs: chains, and batches with a callback.

A batch is its callback: a job that waits for all members and runs when they are finished,
however they ended. A running job that the callback waits for may add members.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from uuid import UUID

from db import jobs, waits
from db.pool import Connection
from pipelines.errors import Permanent
from workers.jobs import BULK_JOBS, Payload, kind_of
from workers.payloads import check, encode

BATCH_JOBS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Batch:
    """The callback, and the members in the order given; one of a taken unique key is its twin."""

    callback_id: int
    job_ids: list[int]


def enqueue_after(
    conn: Connection,
    payload: Payload,
    *,
    after: Sequence[int],
    even_if_failed: bool = False,
    tenant: UUID | None = None,
    run_at: datetime | None = None,
    priority: int = 0,
) -> int:
    """Insert a job that runs when those in `after` are finished; its id.

    It is cancelled when one of them was discarded or cancelled, unless `even_if_failed`. It has
    no unique key. Raises InvalidParameterValue for an id that is no job's.
    """
    return waits.enqueue_after(
        conn,
        kind_of(payload).name,
        encode(check(payload)),
        after=after,
        tenant=tenant,
        even_if_failed=even_if_failed,
        run_at=run_at,
        priority=priority,
    )


def enqueue_batch(
    conn: Connection,
    payloads: Iterable[Payload],
    *,
    then: Payload,
    after: Sequence[int] = (),
    tenant: UUID | None = None,
    priority: int = 0,
) -> Batch:
    """Insert jobs, and `then` to run when all are finished; at once when there are none.

    The callback waits for the jobs in `after`, too: for the running one that adds members later.
    Raises Permanent for more than BATCH_JOBS_MAX members in one call.
    """
    members = enqueue_members(conn, payloads, tenant=tenant, priority=priority)
    callback_id = enqueue_after(
        conn,
        then,
        after=[*members, *after],
        even_if_failed=True,
        tenant=tenant,
        priority=priority,
    )
    return Batch(callback_id, members)


def add_to_batch(
    conn: Connection,
    callback_id: int,
    payloads: Iterable[Payload],
    *,
    tenant: UUID | None = None,
    priority: int = 0,
) -> list[int]:
    """Insert further members; their ids. Raises InvalidParameterValue when all had ended."""
    members = enqueue_members(conn, payloads, tenant=tenant, priority=priority)
    if members:
        waits.add_waits(conn, callback_id, after=members)
    return members


def callback_of(conn: Connection, job_id: int, *, then: Payload) -> int:
    """What does `then` after the job: the one that waits for it already, or a new one; its id."""
    found = waits.find_waiter(conn, job_id, kind=kind_of(then).name)
    return found or enqueue_after(conn, then, after=[job_id], even_if_failed=True)


def enqueue_members(
    conn: Connection, payloads: Iterable[Payload], *, tenant: UUID | None, priority: int
) -> list[int]:
    given = list(islice(payloads, BATCH_JOBS_MAX + 1))
    if len(given) > BATCH_JOBS_MAX:
        raise Permanent(f"a batch has more than {BATCH_JOBS_MAX:,} jobs, the limit of one call")
    ids: list[int] = []
    for kind, args in parts(given):
        ids += jobs.enqueue_many(conn, kind, args, tenant=tenant, priority=priority)
    return ids


def parts(payloads: Sequence[Payload]) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """Neighbours of one kind together, as one statement takes them."""
    for kind, group in groupby(payloads, key=kind_of):
        while args := [encode(check(payload)) for payload in islice(group, BULK_JOBS)]:
            yield kind.name, args
