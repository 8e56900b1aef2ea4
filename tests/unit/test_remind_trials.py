"""How many trials one tick looks at."""

from db.housekeeping import Mailed
from pipelines.batching import repeat_mails
from pipelines.remind_trials import BATCH_ROWS, BATCHES_MAX


def test_batches_go_on_until_one_is_not_full() -> None:
    batches = iter([Mailed(BATCH_ROWS, 150), Mailed(7, 6), Mailed(9, 9)])

    assert repeat_mails(lambda _: next(batches), rows_max=BATCH_ROWS, batches_max=BATCHES_MAX) == (
        BATCH_ROWS + 7,
        156,
    )


def test_one_tick_does_no_more_than_its_share() -> None:
    assert repeat_mails(
        lambda _: Mailed(BATCH_ROWS, 0), rows_max=BATCH_ROWS, batches_max=BATCHES_MAX
    ) == (BATCHES_MAX * BATCH_ROWS, 0)
