"""`avivro emails suppressions`: addresses that get no mail, or none of a category."""

from typing import Annotated

import typer

from db import suppressions
from db.pool import Connection
from db.suppressions import REASONS, Listed
from workers.cli import auditing, console
from workers.cli.auditing import WhyOption
from workers.cli.services import database
from workers.dashboard import masks

app = typer.Typer(no_args_is_help=True)
ROWS_MAX = 100_000
COLUMNS = ("address", "category", "reason", "since", "of user", "note")

AddressArgument = Annotated[str, typer.Argument(help="An email address.")]
CategoryOption = Annotated[str | None, typer.Option(help="A category; all of them without.")]


@app.command("list")
def list_suppressions(
    address: Annotated[str | None, typer.Option(help="Only this address.")] = None,
    reason: Annotated[str | None, typer.Option(help=f"One of: {', '.join(REASONS)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=ROWS_MAX)] = 100,
    as_json: console.JsonOption = False,
) -> None:
    """List addresses that get no mail, newest first: why, since when, of which category."""
    if reason is not None and reason not in REASONS:
        console.fail(f"there is no reason {reason}; known: {', '.join(REASONS)}", code=2)
    wanted = None if address is None else spell(address)
    with database() as conn:
        found = suppressions.list_suppressions(conn, address=wanted, reason=reason, rows_max=limit)
    if as_json:
        console.print_json(found)
    else:
        console.print_table("suppressions", COLUMNS, [row(each) for each in found])


def row(listed: Listed) -> tuple[object, ...]:
    return (
        listed.address or f"(hash {listed.address_hash[:12]})",
        listed.category or "all",
        listed.reason,
        f"{listed.created_at:%Y-%m-%d %H:%M}",
        listed.user_id,
        listed.note,
    )


@app.command("add")
def add(
    address: AddressArgument,
    category: CategoryOption = None,
    note: Annotated[str | None, typer.Option(help="Why, for whoever looks later.")] = None,
    why: WhyOption = auditing.UNSAID,
) -> None:
    """Send no more mail to an address: none at all, or none of a category."""
    spelt = spell(address)
    with database() as conn:
        added = suppressions.add(conn, spelt, "manual", category=category, note=note)
        if added:
            tell(conn, "suppress_address", spelt, category, why)
    console.out.print(
        f"{spelt} gets no {category or 'mail'} any more" if added else f"{spelt} got none already",
        highlight=False,
        markup=False,
    )


@app.command("remove")
def remove(
    address: AddressArgument, category: CategoryOption = None, why: WhyOption = auditing.UNSAID
) -> None:
    """Let mail go to an address again, whatever stopped it; mails that were not sent stay so."""
    spelt = spell(address)
    with database() as conn:
        removed = suppressions.remove(conn, spelt, category=category)
        if removed:
            tell(conn, "lift_suppression", spelt, category, why)
    if not removed:
        console.fail(f"nothing keeps mail from {spelt}", code=1)
    console.out.print(f"{spelt} gets mail again", highlight=False, markup=False)


def tell(conn: Connection, action: str, address: str, category: str | None, why: str) -> None:
    """The audit log is kept for ever: no whole address goes there."""
    target = f"address {masks.address(address)}"
    auditing.note(conn, action, target, why=why, category=category)


def spell(address: str) -> str:
    """As it is remembered. Exits with 2 for what is no address."""
    from pipelines.email.address import parse_address
    from pipelines.errors import Permanent

    try:
        return parse_address(address).spec.lower()
    except Permanent as error:
        console.fail(str(error), code=2)
