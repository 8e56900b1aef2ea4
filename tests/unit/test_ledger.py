"""How an attempt's end is named in the figures."""

import pytest

from db.jobs import Finish
from workers.ledger import outcome


@pytest.mark.parametrize(
    ("finish", "state", "name"),
    [
        (Finish(1, 1, "completed"), "completed", "completed"),
        (Finish(1, 1, "completed"), "available", "completed"),  # asked to run once more
        (Finish(1, 1, "retryable"), "retryable", "retryable"),
        (Finish(1, 1, "retryable"), "cancelled", "cancelled"),  # asked to stop meanwhile
        (Finish(1, 1, "discarded"), "discarded", "discarded"),
        (Finish(1, 1, "scheduled", 5.0, spared=True), "scheduled", "snoozed"),
        (Finish(1, 1, "available", spared=True), "available", "handed back"),
    ],
)
def test_an_attempt_counts_by_how_it_ended(finish: Finish, state: str, name: str) -> None:
    assert outcome(finish, state) == name
