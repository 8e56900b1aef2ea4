"""Money: decimals, rounded half up to what a currency can be paid in."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, localcontext

from pipelines.errors import Permanent

# ISO 4217: digits behind the point. Currencies that are not named here have two.
MINOR_DIGITS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
# What the columns of billing_transactions hold.
TOTAL_MAX = Decimal(10) ** 10
ZERO = Decimal(0)
# Enough for every product of what the columns hold: nothing is rounded but where it is said.
PRECISION_DIGITS = 80


@dataclass(frozen=True, slots=True)
class Amounts:
    amount: Decimal
    tax: Decimal
    total: Decimal


def charge(messages: int, *, unit_price: Decimal, tax_rate: Decimal, currency: str) -> Amounts:
    """What so many messages cost. The tax is of the rounded amount, so that both add up.

    Raises Permanent for a total that no transaction can hold.
    """
    with localcontext(prec=PRECISION_DIGITS):
        amount = round_half_up(messages * unit_price, currency)
        tax = round_half_up(amount * tax_rate, currency)
        total = amount + tax
    if total >= TOTAL_MAX:
        raise Permanent(
            f"{messages} messages at {plain(unit_price)} {currency} come to {total} {currency},"
            f" limit {TOTAL_MAX}"
        )
    return Amounts(amount, tax, total)


def round_half_up(exact: Decimal, currency: str) -> Decimal:
    unit = Decimal(1).scaleb(-MINOR_DIGITS.get(currency, 2))
    return exact.quantize(unit, ROUND_HALF_UP)


def plain(value: Decimal) -> str:
    """Without an exponent and without noughts at its end: 0.02, not 0.0200000000."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
