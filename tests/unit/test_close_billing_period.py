"""What a run makes of its periods, without the database."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest

from db.billing import Counted
from pipelines.billing.allowance import Plan, segments
from pipelines.billing.closing import Closing, Terms, Usage, close
from pipelines.billing.periods import Period
from pipelines.close_billing_period import (
    REFUSALS_NAMED_MAX,
    Refused,
    Tally,
    complain,
    late_messages,
    tell,
)

USER = UUID("00000000-0000-4000-8000-00000000000a")
JANUARY = Period(date(2025, 1, 1), date(2025, 2, 1))


def closed(messages: int, *, tax_rate: str = "0") -> Closing:
    """A period with an allowance of a thousand."""
    return close(
        USER,
        JANUARY,
        usage=Usage(messages, 0),
        parts=segments(JANUARY, [], today=Plan("free", 1_000)),
        terms=Terms("free", "USD", Decimal(tax_rate), Decimal("0.02")),
    )


@pytest.mark.parametrize(
    ("counted", "logged", "known", "late"),
    [
        (100, 120, 110, 10),
        (130, 120, 110, 20),
        (100, 110, 110, 0),
        # Rows that were deleted since give nothing back.
        (100, 90, 110, 0),
        # A period that is open counts by itself.
        (100, 120, None, 0),
    ],
)
def test_messages_are_late_that_a_closing_did_not_know_of(
    counted: int, logged: int, known: int | None, late: int
) -> None:
    assert late_messages(Counted(JANUARY.start, counted, logged, known)) == late


def test_only_periods_with_an_overage_count_as_transactions() -> None:
    tally = Tally()

    tally.add(closed(1_000))
    tally.add(closed(1_001))

    assert (tally.periods, tally.transactions, tally.refused) == (2, 1, [])


def test_customers_are_told_the_total_and_the_tax_in_it() -> None:
    told = tell(closed(1_250, tax_rate="0.19"))

    assert told["title"] == "250 messages above your allowance"
    assert told["message"].endswith(
        "250 more at 0.02 USD each: 5.95 USD, 0.95 USD of tax included."
    )


def test_a_complaint_names_a_few_periods_and_the_number_of_all() -> None:
    tally = Tally(periods=3)

    for number in range(REFUSALS_NAMED_MAX + 1):
        tally.add(Refused(UUID(int=number), JANUARY, "no price"))

    complaint = complain(tally)
    assert complaint.startswith("closed 3 periods, 6 could not be closed")
    assert complaint.count("2025-01-01: no price") == REFUSALS_NAMED_MAX
