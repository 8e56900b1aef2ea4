"""How many batches one tick enqueues."""

from collections.abc import Iterator

from pipelines.schedule_resyncs import BATCH_ROWS, BATCHES_MAX, repeat


def test_batches_go_on_until_one_is_not_full() -> None:
    batches: Iterator[int] = iter([BATCH_ROWS, BATCH_ROWS, 3, 99])

    assert repeat(lambda: next(batches)) == 2 * BATCH_ROWS + 3
    assert next(batches) == 99


def test_one_tick_enqueues_no_more_than_its_share() -> None:
    assert repeat(lambda: BATCH_ROWS) == BATCHES_MAX * BATCH_ROWS
