"""What is decided of a period, and what of it is frozen."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from pipelines.billing.allowance import Change, Plan, segments
from pipelines.billing.closing import (
    EVENT_SEGMENTS_MAX,
    Closing,
    Terms,
    Usage,
    announced,
    close,
    describe,
    frozen,
)
from pipelines.billing.periods import Period
from pipelines.errors import Permanent

USER = UUID("00000000-0000-4000-8000-00000000000a")
JANUARY = Period(date(2025, 1, 1), date(2025, 2, 1))
TERMS = Terms("starter", "USD", Decimal("0.190000"), Decimal("0.0200000000"))


def closing(usage: Usage, *, limit: int = 1_000, terms: Terms = TERMS) -> Closing:
    parts = segments(JANUARY, [], today=Plan("starter", limit))
    return close(USER, JANUARY, usage=usage, parts=parts, terms=terms)


@pytest.mark.parametrize(
    ("usage", "overage"),
    [
        (Usage(counted=1_000, logged=0), 0),
        (Usage(counted=1_001, logged=0), 1),
        (Usage(counted=0, logged=1_002), 2),
        (Usage(counted=1_003, logged=1_002), 3),
        (Usage(counted=900, logged=950, late=50), 0),
        (Usage(counted=900, logged=950, late=51), 1),
    ],
)
def test_the_greater_count_is_used_and_late_messages_are_added(usage: Usage, overage: int) -> None:
    assert closing(usage).overage == overage


def test_all_that_the_payment_side_needs_is_frozen_as_text() -> None:
    content = frozen(closing(Usage(counted=1_240, logged=1_250)))

    assert content == {
        "user_id": str(USER),
        "period_start": "2025-01-01",
        "period_end": "2025-02-01",
        "tier": "starter",
        "messages_counted": 1_240,
        "messages_logged": 1_250,
        "messages_used": 1_250,
        "late_messages": 0,
        "allowance": 1_000,
        "overage_messages": 250,
        "segments": [
            {
                "from": "2025-01-01T00:00:00Z",
                "until": "2025-02-01T00:00:00Z",
                "tier": "starter",
                "message_limit": 1_000,
            }
        ],
        "currency": "USD",
        "unit_price": "0.02",
        "amount": "5.00",
        "tax_rate": "0.19",
        "tax": "0.95",
        "total": "5.95",
        "idempotency_key": f"overage:{USER}:2025-01-01",
        "transaction_id": "edae834c-04d0-2b71-958c-9baf0c337c20",
        "invoice_number": "AV-202501-EDAE834C04D0",
    }


def test_a_period_within_its_allowance_has_no_transaction() -> None:
    content = frozen(closing(Usage(counted=10, logged=0)))

    assert (content["transaction_id"], content["invoice_number"]) == (None, None)
    assert (content["amount"], content["tax"], content["total"]) == ("0.00", "0.00", "0.00")


def test_what_rounds_to_nothing_has_no_transaction() -> None:
    terms = replace(TERMS, unit_price=Decimal("0.0010000000"))

    content = frozen(closing(Usage(counted=1_003, logged=0), terms=terms))

    assert (content["overage_messages"], content["total"]) == (3, "0.00")
    assert content["transaction_id"] is None


def test_a_transaction_says_what_it_is_for() -> None:
    described = describe(closing(Usage(counted=1_240, logged=1_250, late=7)))

    assert described == (
        "2025-01-01 to 2025-01-31: 1,250 messages and 7 late ones of earlier periods,"
        " 1,000 included, 257 more at 0.02 USD each"
    )


def test_messages_without_a_price_are_refused_by_tier_and_currency() -> None:
    unpriced = replace(TERMS, currency="CHF", unit_price=None)

    with pytest.raises(Permanent, match="tier starter has none in CHF"):
        closing(Usage(counted=1_001, logged=0), terms=unpriced)


def test_no_price_is_needed_where_nothing_is_to_be_paid() -> None:
    unpriced = replace(TERMS, currency="CHF", unit_price=None)

    assert closing(Usage(counted=1_000, logged=0), terms=unpriced).amounts.total == 0


def test_keys_differ_by_user_and_by_period() -> None:
    first = closing(Usage(counted=1, logged=0))
    others = [
        replace(first, user_id=UUID(int=1)),
        replace(first, period=Period(date(2025, 2, 1), date(2025, 3, 1))),
    ]

    assert len({each.transaction_id for each in (first, *others)}) == 3
    assert len({each.invoice_number for each in (first, *others)}) == 3


def test_an_event_stays_small_however_often_the_plan_changed() -> None:
    changes = [
        Change(JANUARY.start_at + timedelta(minutes=n), Plan("starter", n)) for n in range(1, 400)
    ]
    parts = segments(JANUARY, changes, today=Plan("starter", 0))

    often = close(USER, JANUARY, usage=Usage(1, 0), parts=parts, terms=TERMS)
    heard = announced(often, subscription_tier="free")

    assert (len(frozen(often)["segments"]), heard["segments_cut"]) == (400, True)
    assert heard["segments"] == frozen(often)["segments"][:EVENT_SEGMENTS_MAX]
    assert heard["subscription_tier"] == "free"
