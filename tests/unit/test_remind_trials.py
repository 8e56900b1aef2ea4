"""How many trials one tick looks at."""

from db.housekeeping import Mailed
from pipelines.remind_trials import BATCH_ROWS, BATCHES_MAX, repeat


def test_batches_go_on_until_one_is_not_full() -> None:
    batches = iter([Mailed(BATCH_ROWS, 150), Mailed(7, 6), Mailed(9, 9)])

    assert repeat(lambda: next(batches)) == (BATCH_ROWS + 7, 156)


def test_one_tick_does_no_more_than_its_share() -> None:
    assert repeat(lambda: Mailed(BATCH_ROWS, 0)) == (BATCHES_MAX * BATCH_ROWS, 0)
