"""`avivro tenants`: who spends what on embedding, and how much they may."""

from decimal import Decimal, InvalidOperation
from typing import Annotated
from uuid import UUID

import typer

from db import spending
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database

app = typer.Typer(no_args_is_help=True)
NO_CAP = "none"
CAP_USD_MAX = Decimal(1_000_000_000)


@app.command("list")
def list_tenants(
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 1000,
    as_json: console.JsonOption = False,
) -> None:
    """List tenants with a cap or a weight, or who spent on embedding this month (UTC)."""
    with database() as conn:
        found = spending.list_tenants(conn, rows_max=limit)
    if as_json:
        console.print_json(found)
        return
    console.print_table(
        "tenants",
        ("id", "email", "weight", "spent USD", "cap USD", "paused jobs"),
        [
            (t.tenant, t.email, t.weight, plain(t.spent_usd), plain(t.cap_usd), t.paused_jobs)
            for t in found
        ],
    )


@app.command("cap")
def cap(
    tenant: Annotated[UUID, typer.Argument(help="The tenant's id.")],
    usd: Annotated[str, typer.Argument(metavar="USD|none", help="For a calendar month, in UTC.")],
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Cap what a tenant may spend on embedding; what waits for a higher cap goes on at once."""
    amount = parse_cap(usd)
    with database() as conn:
        if not spending.find_tenant(conn, tenant):
            console.fail(f"there is no tenant {tenant}", code=1)
        spending.set_cap(conn, tenant, amount)
        auditing.note(conn, "cap_tenant", f"tenant {tenant}", why=why, cap_usd=usd)
    what = "no cap" if amount is None else f"a cap of {plain(amount)} USD a month"
    console.out.print(f"{tenant} has {what}", highlight=False)


def parse_cap(text: str) -> Decimal | None:
    """Exits with 2 for what is no amount of money."""
    if text.lower() == NO_CAP:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        console.fail(f'"{text}" is no amount: write 5, 0.50 or none', code=2)
    if not (amount.is_finite() and 0 <= amount <= CAP_USD_MAX):
        console.fail(f"a cap is between 0 and {CAP_USD_MAX:,} USD", code=2)
    return amount


def plain(usd: Decimal | None) -> str:
    return "" if usd is None else f"{usd.normalize():f}"
