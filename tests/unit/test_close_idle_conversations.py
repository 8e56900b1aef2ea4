"""How closing goes from page to page."""

from uuid import UUID

from db.housekeeping import Open
from pipelines.batching import pages


class Table:
    """Open conversations, one a second."""

    def __init__(self, rows: int) -> None:
        self.rows = [Open(f"{n:03}", UUID(int=n), is_idle=n % 2 == 0) for n in range(rows)]
        self.asked: list[Open | None] = []

    def find(self, since: Open | None) -> list[Open]:
        self.asked.append(since)
        begin = 0 if since is None else since.id.int + 1
        return self.rows[begin : begin + 10]


def test_no_open_conversation_makes_no_page() -> None:
    assert list(pages(Table(0).find, rows_max=10)) == []


def test_pages_go_on_until_one_is_not_full() -> None:
    table = Table(25)

    assert [len(page) for page in pages(table.find, rows_max=10)] == [10, 10, 5]


def test_a_last_full_page_is_followed_by_a_look() -> None:
    table = Table(20)

    assert [len(page) for page in pages(table.find, rows_max=10)] == [10, 10]
    assert len(table.asked) == 3


def test_each_page_goes_on_where_the_last_one_ended_idle_or_not() -> None:
    table = Table(25)

    list(pages(table.find, rows_max=10))

    assert table.asked == [None, table.rows[9], table.rows[19]]
