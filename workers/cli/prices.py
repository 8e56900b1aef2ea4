"""`avivro prices`: what models cost, and the usage that has no price yet."""

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from db import prices
from db.prices import Price, Terms, Unpriced
from pipelines.counting import noun, plural
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database

app = typer.Typer(no_args_is_help=True)
ROWS_MAX = 100_000
PRICE_USD_MAX = Decimal(1_000_000)
PRICE_DIGITS_MAX = 10
BATCH_ROWS = 5_000

ModelArgument = Annotated[str, typer.Argument(help="As usage_logs.ai_model has it.")]
USD = "US dollars for a million tokens."


@app.command("list")
def list_prices(
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    as_json: console.JsonOption = False,
) -> None:
    """List what models cost, in US dollars for a million tokens, and since when."""
    with database() as conn:
        found = prices.list_prices(conn, model=model, rows_max=ROWS_MAX)
    if as_json:
        console.print_json(found)
    else:
        columns = ("name", "input", "output", "embedding", "valid from", "now")
        console.print_table("prices", columns, [price_row(each) for each in found])


def price_row(price: Price) -> tuple[object, ...]:
    return (
        price.model,
        plain(price.input_usd),
        plain(price.output_usd),
        plain(price.embedding_usd),
        f"{price.valid_from.astimezone(UTC):%Y-%m-%d %H:%M}",
        "in force" if price.is_current else None,
    )


def plain(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd.normalize():f}"


@app.command("set")
def set_price(
    model: ModelArgument,
    input_usd: Annotated[str | None, typer.Option("--input", help=USD)] = None,
    output_usd: Annotated[str | None, typer.Option("--output", help=USD)] = None,
    embedding_usd: Annotated[str | None, typer.Option("--embedding", help=USD)] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", help="In UTC, e.g. 2026-01-31; now without.")
    ] = None,
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Set a model's price from a moment on; rows that have a cost keep it."""
    if not model.strip():
        console.fail("the model has no name", code=2)
    terms = Terms(parse_price(input_usd), parse_price(output_usd), parse_price(embedding_usd))
    if terms == Terms(None, None, None):
        console.fail("say at least one of --input, --output and --embedding", code=2)
    with database() as conn:
        prices.set_price(conn, model, terms, valid_from=in_utc(since))
        said = {"input": input_usd, "output": output_usd, "embedding": embedding_usd}
        moment = None if since is None else since.isoformat()
        auditing.note(conn, "set_model_price", f"model {model}", why=why, since=moment, **said)
    console.out.print(f"{model} has a new price", highlight=False, markup=False)


@app.command("unpriced")
def list_unpriced(as_json: console.JsonOption = False) -> None:
    """List models whose usage has no cost, for their price was not known."""
    with database() as conn:
        found = prices.list_unpriced(conn, rows_max=ROWS_MAX)
    if as_json:
        console.print_json(found)
    else:
        columns = ("name", "rows", "prompt tokens", "completion tokens", "first", "last")
        console.print_table("unpriced usage", columns, [unpriced_row(each) for each in found])


def unpriced_row(usage: Unpriced) -> tuple[object, ...]:
    return (
        usage.model,
        usage.rows,
        usage.prompt_tokens,
        usage.completion_tokens,
        f"{usage.first_at.astimezone(UTC):%Y-%m-%d %H:%M}",
        f"{usage.last_at.astimezone(UTC):%Y-%m-%d %H:%M}",
    )


@app.command("reprice")
def reprice(
    model: ModelArgument,
    since: Annotated[datetime, typer.Option("--from", help="In UTC, e.g. 2026-01-31.")],
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Give usage that has no cost the price that is known now; months are summed up again."""
    total = 0
    with database() as conn:
        # Before the first part is stored: what is interrupted was begun all the same.
        said = {"from": since.isoformat()}
        auditing.note(conn, "reprice_usage", f"model {model}", why=why, **said)
        while True:
            count = prices.reprice_usage(conn, model, since=since_utc(since), rows_max=BATCH_ROWS)
            conn.commit()
            total += count
            if count < BATCH_ROWS:
                break
    console.out.print(
        f"{plural(total, 'row')} of {model} {noun(total, 'has', 'have')} a price now",
        highlight=False,
        markup=False,
    )


def in_utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else since_utc(moment)


def since_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)


def parse_price(text: str | None) -> Decimal | None:
    """Exits with 2 for what is no price."""
    if text is None:
        return None
    try:
        price = Decimal(text)
    except InvalidOperation:
        console.fail(f'"{text}" is no price: write 3, 0.15 or 0', code=2)
    if not (price.is_finite() and 0 <= price <= PRICE_USD_MAX):
        console.fail(f"a price is between 0 and {PRICE_USD_MAX:,} USD for a million tokens", code=2)
    if -int(price.normalize().as_tuple().exponent) > PRICE_DIGITS_MAX:
        console.fail(f"a price has at most {PRICE_DIGITS_MAX} digits behind the point", code=2)
    return price
