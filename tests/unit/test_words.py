"""How figures read on pages."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from db.times import EARLIEST, LATEST
from workers.dashboard.words import ago, duration, moment, money


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        (None, "–"),
        (0, "$0.00"),
        (Decimal("0.0000000001"), "<$0.0001"),
        (0.00006, "$0.0001"),
        (Decimal("0.5"), "$0.5000"),
        (Decimal("-2.5"), "-$2.50"),
        (Decimal("9878321.3497238707"), "$9,878,321.35"),
    ],
)
def test_what_costs_something_never_reads_as_nothing(
    amount: Decimal | float | None, told: str
) -> None:
    assert money(amount) == told


def test_times_that_never_come_are_called_as_the_database_calls_them() -> None:
    assert (moment(LATEST), ago(LATEST), ago(EARLIEST)) == ("infinity", "infinity", "-infinity")
    assert "09:30:00" in moment(datetime(2020, 1, 31, 9, 30, tzinfo=UTC))


def test_no_span_is_too_odd_to_be_told() -> None:
    for seconds in (float("inf"), float("-inf"), float("nan"), 1e300, -0.0):
        assert duration(seconds)
