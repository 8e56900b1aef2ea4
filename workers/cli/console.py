"""What every command prints with: tables and JSON to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

out = Console()
err = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document; dataclasses become objects, times ISO 8601, ids and decimals text."""
    sys.stdout.write(json.dumps(value, default=jsonable, indent=2, ensure_ascii=False) + "\n")


def jsonable(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return as_text(value)


def as_text(value: Any) -> str:
    # Without an exponent: str() of a nought with ten digits is "0E-10".
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    whole: Sequence[str] = ("id", "queue", "name"),
) -> None:
    """Columns that are `whole` keep to their line; the others share what is left of the width."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    for column in columns:
        # An id or a name is there to be copied: it is never shortened.
        table.add_column(column, no_wrap=column in whole, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(as_text(cell)) for cell in row))
    out.print(table)


def moment(at: datetime | None) -> str:
    """In UTC, short: 14:41 or 14:41:07 today, 11-24 03:17 in this year."""
    if at is None:
        return ""
    utc, today = at.astimezone(UTC), datetime.now(UTC)
    if utc.date() == today.date():
        return f"{utc:%H:%M:%S}" if utc.second else f"{utc:%H:%M}"
    return f"{utc:%m-%d %H:%M}" if utc.year == today.year else f"{utc:%Y-%m-%d}"


def fail(message: str, *, code: int) -> NoReturn:
    err.print(message, style="red", markup=False)
    sys.exit(code)
