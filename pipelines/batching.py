"""Long work in batches, each in a short transaction of its own; the next tick goes on."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar
from uuid import UUID

from db.housekeeping import Mailed

Row = TypeVar("Row")


def repeat(serve_next: Callable[[], int], *, rows_max: int, batches_max: int) -> int:
    """Batch after batch until one is not full, or there were `batches_max`; the sum."""
    return sum(islice(batches(serve_next, rows_max=rows_max), batches_max))


def batches(serve_next: Callable[[], int], *, rows_max: int) -> Iterator[int]:
    """The size of each batch until one is not full."""
    count = rows_max
    while count >= rows_max:
        count = serve_next()
        if count:
            yield count


def pages(
    find_next: Callable[[Row | None], list[Row]], *, rows_max: int, after: Row | None = None
) -> Iterator[list[Row]]:
    """Page after page until one is not full; each goes on where the last one ended."""
    page = find_next(after)
    while page:
        yield page
        page = find_next(page[-1]) if len(page) == rows_max else []


def repeat_mails(
    mail_next: Callable[[UUID | None], Mailed], *, rows_max: int, batches_max: int
) -> tuple[int, int]:
    """As repeat, each batch behind the last one's user; how many were looked at, and mails."""
    seen = mails = 0
    since: UUID | None = None
    for _ in range(batches_max):
        batch = mail_next(since)
        seen += batch.seen
        mails += batch.mails
        since = batch.last_id
        if batch.seen < rows_max:
            break
    return seen, mails
