"""How pruning goes from batch to batch."""

from datetime import UTC, datetime, timedelta

from db.retention import Batch
from pipelines.prune import batches

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Table:
    """Rows a minute apart, from BEGIN on."""

    def __init__(self, rows: int) -> None:
        self.left = [BEGIN + timedelta(minutes=n) for n in range(rows)]
        self.asked: list[datetime | None] = []

    def delete(self, since: datetime | None, rows_max: int) -> Batch:
        self.asked.append(since)
        gone, self.left = self.left[:rows_max], self.left[rows_max:]
        return Batch(len(gone), gone[-1] if gone else None)


def test_an_empty_table_makes_no_batch() -> None:
    assert list(batches(Table(0).delete, rows_max=10)) == []


def test_batches_go_on_until_one_is_not_full() -> None:
    table = Table(25)

    assert list(batches(table.delete, rows_max=10)) == [10, 10, 5]
    assert table.left == []


def test_a_last_full_batch_is_followed_by_a_look() -> None:
    table = Table(20)

    assert list(batches(table.delete, rows_max=10)) == [10, 10]
    assert len(table.asked) == 3


def test_each_batch_goes_on_where_the_last_one_ended() -> None:
    table = Table(25)

    list(batches(table.delete, rows_max=10))

    minutes = timedelta(minutes=1)
    assert table.asked == [None, BEGIN + 9 * minutes, BEGIN + 19 * minutes]
