"""Amounts, to the last digit, next to fractions."""

from decimal import Decimal
from fractions import Fraction
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.billing.amounts import MINOR_DIGITS, charge, plain
from pipelines.errors import Permanent

PRICES = st.decimals(Decimal("0.0000000001"), Decimal(9), places=10)
RATES = st.decimals(0, 1, places=6)


def naive(exact: Fraction, digits: int) -> Fraction:
    """Half up, for what is not negative."""
    return Fraction(floor(exact * 10**digits + Fraction(1, 2)), 10**digits)


@given(st.integers(0, 10**8), PRICES, RATES, st.sampled_from(["USD", "EUR", "JPY", "KWD", "CLF"]))
@settings(max_examples=200)
def test_amount_and_tax_are_rounded_half_up_and_add_up(
    messages: int, unit_price: Decimal, tax_rate: Decimal, currency: str
) -> None:
    digits = MINOR_DIGITS.get(currency, 2)

    charged = charge(messages, unit_price=unit_price, tax_rate=tax_rate, currency=currency)

    amount = naive(messages * Fraction(unit_price), digits)
    tax = naive(amount * Fraction(tax_rate), digits)
    assert [Fraction(charged.amount), Fraction(charged.tax)] == [amount, tax]
    assert Fraction(charged.total) == amount + tax
    assert len(str(charged.total).partition(".")[2]) == digits


@pytest.mark.parametrize(
    ("messages", "unit_price", "tax_rate", "currency", "expected"),
    [
        (250, "0.02", "0", "USD", ("5.00", "0.00", "5.00")),
        (1, "0.005", "0", "USD", ("0.01", "0.00", "0.01")),
        (1, "0.0049999999", "0", "USD", ("0.00", "0.00", "0.00")),
        (250, "0.02", "0.19", "EUR", ("5.00", "0.95", "5.95")),
        (101, "0.015", "0.081", "USD", ("1.52", "0.12", "1.64")),
        (5, "0.5", "0.1", "JPY", ("3", "0", "3")),
        (1, "1.2345", "0.5", "KWD", ("1.235", "0.618", "1.853")),
    ],
)
def test_a_currency_has_its_own_smallest_unit(
    messages: int, unit_price: str, tax_rate: str, currency: str, expected: tuple[str, ...]
) -> None:
    charged = charge(
        messages, unit_price=Decimal(unit_price), tax_rate=Decimal(tax_rate), currency=currency
    )

    assert (str(charged.amount), str(charged.tax), str(charged.total)) == expected


def test_a_total_that_no_transaction_can_hold_is_refused_with_the_limit() -> None:
    with pytest.raises(Permanent, match=r"10000000000\.00 USD, limit 10000000000"):
        charge(10**10, unit_price=Decimal(1), tax_rate=Decimal(0), currency="USD")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0.0200000000", "0.02"), ("0E-10", "0"), ("100", "100"), ("1E-10", "0.0000000001")],
)
def test_a_decimal_is_written_without_an_exponent(value: str, expected: str) -> None:
    assert plain(Decimal(value)) == expected
