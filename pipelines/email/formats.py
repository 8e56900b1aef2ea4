"""How numbers, money and times read in a mail."""

from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹"}
# ISO 4217's minor units, where they are not two digits.
MINOR_DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}
# A price per message is a fraction of a cent: a unit price keeps what it has, up to this.
UNIT_DIGITS_MAX = 6


def number(value: Decimal) -> str:
    """With thousands separators: 1,234.5"""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(amount: Decimal, currency: str) -> str:
    """$1,234.50, ¥1,235 or 1,234.50 CHF; halves are rounded away from zero."""
    return signed(amount, currency, MINOR_DIGITS.get(currency, 2))


def unit_price(amount: Decimal, currency: str) -> str:
    """As money, with the digits that the price has beyond its currency's."""
    own = -int(amount.normalize().as_tuple().exponent)
    digits = max(MINOR_DIGITS.get(currency, 2), min(own, UNIT_DIGITS_MAX))
    return signed(amount, currency, digits)


def signed(amount: Decimal, currency: str, digits: int) -> str:
    rounded = amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    minus, figure = "-" if rounded < 0 else "", f"{abs(rounded):,f}"
    sign = SIGNS.get(currency)
    return f"{minus}{sign}{figure}" if sign else f"{minus}{figure} {currency}"


def day(value: date | str) -> str:
    """6 February 2025; what is no date reads as it came."""
    return value if isinstance(value, str) else f"{value.day} {value:%B} {value.year}"


def moment(value: date | str) -> str:
    """6 February 2025, 14:05 UTC; without a time of day, the day."""
    if not isinstance(value, datetime):
        return day(value)
    return f"{day(value)}, {value:%H:%M} {value.tzname() or 'UTC'}"
