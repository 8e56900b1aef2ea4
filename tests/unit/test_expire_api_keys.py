"""How many keys one tick switches off."""

from collections.abc import Iterator

from pipelines.batching import repeat
from pipelines.expire_api_keys import BATCH_ROWS, BATCHES_MAX


def test_batches_go_on_until_one_is_not_full() -> None:
    batches: Iterator[int] = iter([BATCH_ROWS, 3, 99])

    assert (
        repeat(lambda: next(batches), rows_max=BATCH_ROWS, batches_max=BATCHES_MAX)
        == BATCH_ROWS + 3
    )


def test_one_tick_does_no_more_than_its_share() -> None:
    assert (
        repeat(lambda: BATCH_ROWS, rows_max=BATCH_ROWS, batches_max=BATCHES_MAX)
        == BATCHES_MAX * BATCH_ROWS
    )
