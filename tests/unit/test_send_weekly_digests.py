"""How digests go from batch to batch."""

from uuid import UUID

from db.housekeeping import Mailed
from pipelines.batching import repeat_mails
from pipelines.send_weekly_digests import BATCH_USERS, BATCHES_MAX


def test_batches_go_on_behind_the_last_user() -> None:
    batches = [Mailed(BATCH_USERS, 80, UUID(int=7)), Mailed(2, 1, UUID(int=9))]
    asked: list[UUID | None] = []

    def send(since: UUID | None) -> Mailed:
        asked.append(since)
        return batches[len(asked) - 1]

    assert repeat_mails(send, rows_max=BATCH_USERS, batches_max=BATCHES_MAX) == (
        BATCH_USERS + 2,
        81,
    )
    assert asked == [None, UUID(int=7)]


def test_one_tick_does_no_more_than_its_share() -> None:
    seen, _ = repeat_mails(
        lambda _: Mailed(BATCH_USERS, 0, UUID(int=1)), rows_max=BATCH_USERS, batches_max=BATCHES_MAX
    )

    assert seen == BATCHES_MAX * BATCH_USERS
