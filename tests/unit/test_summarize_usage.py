"""Whom summing up goes through, and which changes nobody expected."""

from datetime import date
from itertools import chain
from uuid import UUID

from db.usage import Change
from pipelines.batching import pages
from pipelines.summarize_usage import unexpected

JUNE, JULY, AUGUST = (date(2026, month, 1) for month in (6, 7, 8))


class Pages:
    """Users by number, in pages; remembers behind whom it was asked."""

    def __init__(self, count: int, page: int) -> None:
        self.ids = [UUID(int=n) for n in range(1, count + 1)]
        self.page = page
        self.asked: list[UUID | None] = []

    def find(self, after: UUID | None) -> list[UUID]:
        self.asked.append(after)
        behind = [each for each in self.ids if after is None or each > after]
        return behind[: self.page]


def test_each_user_is_met_once_page_after_page() -> None:
    table = Pages(25, page=10)

    assert list(chain.from_iterable(pages(table.find, rows_max=10))) == table.ids
    assert table.asked == [None, UUID(int=10), UUID(int=20)]


def test_a_last_full_page_is_followed_by_a_look() -> None:
    table = Pages(20, page=10)

    assert list(chain.from_iterable(pages(table.find, rows_max=10))) == table.ids
    assert table.asked[-1] == UUID(int=20)


def test_a_change_that_a_mark_announced_is_no_surprise() -> None:
    changed = [Change(JUNE, False), Change(JULY, False), Change(AUGUST, True)]

    assert unexpected(changed, marked=[JUNE]) == [JULY]
