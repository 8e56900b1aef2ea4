"""Jobs as rows of COPY, for kinds that need nothing of the database."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from workers.payloads import check, encode

if TYPE_CHECKING:
    from workers.jobs import Kind


@dataclass(frozen=True, slots=True)
class Due:
    """When copied jobs shall run, by the database's clock."""

    at: datetime
    is_later: bool


def copied_rows(
    kind: "Kind",
    payloads: Iterable[object],
    tenant: UUID | None,
    due: Due,
    priority: int,
) -> Iterator[tuple[Any, ...]]:
    """Rows as `db.jobs.copy_jobs` takes them. A time to come is promoted when it is there."""
    state = "scheduled" if due.is_later else "available"
    for payload in payloads:
        args = encode(check(payload))
        limit_key = None if kind.limit_by is None else args.get(kind.limit_by)
        yield (
            kind.name,
            kind.queue,
            tenant,
            priority,
            state,
            json.dumps(args),
            limit_key,
            due.at,
            kind.max_attempts,
        )
