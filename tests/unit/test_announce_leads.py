"""How many agents one tick mails."""

from collections.abc import Iterator

from pipelines.announce_leads import BATCH_AGENTS, BATCHES_MAX
from pipelines.batching import repeat


def test_batches_go_on_until_one_is_not_full() -> None:
    batches: Iterator[int] = iter([BATCH_AGENTS, BATCH_AGENTS, 3, 99])

    assert (
        repeat(lambda: next(batches), rows_max=BATCH_AGENTS, batches_max=BATCHES_MAX)
        == 2 * BATCH_AGENTS + 3
    )
    assert next(batches) == 99


def test_one_tick_mails_no_more_than_its_share() -> None:
    assert (
        repeat(lambda: BATCH_AGENTS, rows_max=BATCH_AGENTS, batches_max=BATCHES_MAX)
        == BATCHES_MAX * BATCH_AGENTS
    )
