"""How many users one tick tells."""

from pipelines.batching import repeat
from pipelines.check_usage_limits import BATCH_USERS, BATCHES_MAX


def test_batches_go_on_until_one_is_not_full() -> None:
    batches = iter([BATCH_USERS, 3, 99])

    assert (
        repeat(lambda: next(batches), rows_max=BATCH_USERS, batches_max=BATCHES_MAX)
        == BATCH_USERS + 3
    )
    assert next(batches) == 99


def test_one_tick_tells_no_more_than_its_share() -> None:
    assert (
        repeat(lambda: BATCH_USERS, rows_max=BATCH_USERS, batches_max=BATCHES_MAX)
        == BATCHES_MAX * BATCH_USERS
    )
