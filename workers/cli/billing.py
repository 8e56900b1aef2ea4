"""`avivro billing`: periods that are over, what they cost, prices and terms. Charges nothing."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, get_args
from uuid import UUID

import typer

from db import billing
from db.billing import Kept, Tier
from db.pool import Connection
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database
from workers.jobs import CloseBillingPeriod, enqueue

app = typer.Typer(no_args_is_help=True)
prices = typer.Typer(no_args_is_help=True)
terms = typer.Typer(no_args_is_help=True)
app.add_typer(prices, name="prices", help="What a message above the allowance costs.")
app.add_typer(terms, name="terms", help="In what a customer pays, and at which rate of tax.")

ROWS_MAX = 100_000
TIERS = get_args(Tier)
PRICE_MAX = Decimal(10) ** 9
PRICE_DIGITS = 10
TAX_RATE_DIGITS = 6
CURRENCY_CHARS = 3

UserArgument = Annotated[UUID, typer.Argument(metavar="USER", help="The user's id.")]
AnyUserArgument = Annotated[
    UUID | None, typer.Argument(metavar="USER", help="The user's id; everybody without.")
]


@app.command("periods")
def list_periods(
    user: AnyUserArgument = None,
    limit: Annotated[int, typer.Option(min=1, max=ROWS_MAX)] = 100,
    as_json: console.JsonOption = False,
) -> None:
    """List periods that are over, the latest first: what was used, and what it costs."""
    with database() as conn:
        found = billing.list_periods(conn, user_id=user, rows_max=limit)
        # Of accounts that are gone there may be periods.
        if not found:
            refuse_unknown(conn, user)
    if as_json:
        console.print_json(found)
        return
    console.print_table(
        "billing periods",
        ("user", "from", "until", "state", "used", "allowed", "over", "total"),
        [row(each) for each in found],
    )


def refuse_unknown(conn: Connection, user: UUID | None) -> None:
    """Exits with 1 where a user is named who is not there."""
    if user is not None and not billing.has_user(conn, user):
        console.fail(f"there is no user {user}", code=1)


def row(kept: Kept) -> tuple[object, ...]:
    closing = kept.closing or {}
    used = closing.get("messages_used", kept.messages_counted)
    late = closing.get("late_messages")
    return (
        kept.email or kept.user_id,
        kept.period_start,
        kept.period_end,
        kept.error_message or ("open" if kept.closed_at is None else "closed"),
        f"{used} + {late} late" if late else used,
        closing.get("allowance"),
        closing.get("overage_messages"),
        f"{closing['total']} {closing['currency']}" if closing else None,
    )


@app.command("close")
def close(user: AnyUserArgument = None, why: WhyOption = auditing.UNSAID) -> None:
    """Close what is over now, not at the next hour; prints the job's id."""
    payload = CloseBillingPeriod(user_id=user)
    with database() as conn:
        refuse_unknown(conn, user)
        job_id = enqueue(conn, payload, unique_key=str(user or "close_billing_period"))
        target = f"user {user}" if user else "all users"
        auditing.note(conn, "close_periods", target, why=why, job_id=job_id)
    console.out.print(f"job {job_id}")


@prices.command("list")
def list_prices(as_json: console.JsonOption = False) -> None:
    """List prices by tier and currency, the latest first."""
    with database() as conn:
        found = billing.list_prices(conn)
    if as_json:
        console.print_json(found)
        return
    console.print_table(
        "prices of a message above the allowance",
        ("tier", "currency", "from (UTC)", "price"),
        [
            (p.tier, p.currency, f"{p.valid_from.astimezone(UTC):%Y-%m-%d %H:%M}",
             f"{p.price_per_message.normalize():f}")
            for p in found
        ],
    )  # fmt: skip


@prices.command("set")
def set_price(
    tier: Annotated[str, typer.Argument(help=f"One of: {', '.join(TIERS)}.")],
    price: Annotated[str, typer.Argument(help="Of one message, e.g. 0.015.")],
    currency: Annotated[str, typer.Option(help="ISO 4217.")] = "USD",
    valid_from: Annotated[
        datetime | None,
        typer.Option("--from", help="In UTC, e.g. 2026-02-01; now without. Closings stay."),
    ] = None,
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Set a price. A period has the last one that was valid before its end."""
    if tier not in TIERS:
        console.fail(f"there is no tier {tier}; known: {', '.join(TIERS)}", code=2)
    amount = parse_decimal(price, digits=PRICE_DIGITS, value_max=PRICE_MAX)
    if amount == 0:
        console.fail("a price is above 0", code=2)
    spelt, since = parse_currency(currency), valid_from and valid_from.replace(tzinfo=UTC)
    with database() as conn:
        billing.set_price(conn, tier=tier, currency=spelt, price=amount, valid_from=since)
        said = {"price": f"{amount:f}", "currency": spelt, "from": since and since.isoformat()}
        auditing.note(conn, "set_message_price", f"tier {tier}", why=why, **said)
    console.out.print(f"{tier}: {amount:f} {spelt} a message", highlight=False)


@terms.command("set")
def set_terms(
    user: UserArgument,
    tax_rate: Annotated[str | None, typer.Option(help="0.19 for 19 %.")] = None,
    currency: Annotated[str | None, typer.Option(help="ISO 4217.")] = None,
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Set what a customer pays in, or its rate of tax; what is not given stays."""
    rate = spelt = None
    if tax_rate is not None:
        rate = parse_decimal(tax_rate, digits=TAX_RATE_DIGITS, value_max=Decimal(1))
    if currency is not None:
        spelt = parse_currency(currency)
    with database() as conn:
        agreed = billing.set_terms(conn, user, tax_rate=rate, currency=spelt)
        if agreed is None:
            console.fail(f"there is no user {user}", code=1)
        said = {"tax_rate": f"{agreed.tax_rate:f}", "currency": agreed.currency}
        auditing.note(conn, "set_terms", f"user {user}", why=why, **said)
    console.out.print(f"{user} pays in {agreed.currency}, tax {agreed.tax_rate:f}", highlight=False)


def parse_decimal(text: str, *, digits: int, value_max: Decimal) -> Decimal:
    """Exits with 2 for what is no number, out of bounds, or has more digits than are kept."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        console.fail(f'"{text}" is no number: write 0.015', code=2)
    if not 0 <= value <= value_max:
        console.fail(f"{text} is not between 0 and {value_max:,}", code=2)
    if value != round(value, digits):
        console.fail(f"{text} has more than {digits} digits behind the point", code=2)
    return value


def parse_currency(text: str) -> str:
    spelt = text.upper()
    if not (spelt.isascii() and spelt.isalpha() and len(spelt) == CURRENCY_CHARS):
        console.fail(f'"{text}" is no currency: write USD or EUR', code=2)
    return spelt
