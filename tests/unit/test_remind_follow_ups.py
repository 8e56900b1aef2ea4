"""How reminding goes from batch to batch."""

from datetime import UTC, datetime, timedelta

from db.housekeeping import FollowUps, Mailed
from pipelines.batching import repeat_mails
from pipelines.remind_follow_ups import (
    BATCH_PEOPLE,
    BATCH_ROWS,
    BATCHES_MAX,
    remind_all,
)

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_batches_go_on_where_the_last_one_ended() -> None:
    batches = [FollowUps(BATCH_ROWS, NOON, 400), FollowUps(3, NOON + timedelta(hours=1), 3)]
    asked: list[datetime | None] = []

    def remind(since: datetime | None) -> FollowUps:
        asked.append(since)
        return batches[len(asked) - 1]

    assert remind_all(remind) == 403
    assert asked == [None, NOON]


def test_mails_go_on_until_a_batch_is_not_full() -> None:
    batches = iter([Mailed(BATCH_PEOPLE, 90), Mailed(5, 5), Mailed(1, 1)])

    assert repeat_mails(
        lambda _: next(batches), rows_max=BATCH_PEOPLE, batches_max=BATCHES_MAX
    ) == (BATCH_PEOPLE + 5, 95)


def test_one_tick_does_no_more_than_its_share() -> None:
    assert (
        repeat_mails(
            lambda _: Mailed(BATCH_PEOPLE, 1), rows_max=BATCH_PEOPLE, batches_max=BATCHES_MAX
        )[1]
        == BATCHES_MAX
    )
    assert remind_all(lambda _: FollowUps(BATCH_ROWS, NOON, 1)) == BATCHES_MAX
