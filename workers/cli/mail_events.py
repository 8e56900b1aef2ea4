"""`avivro emails events`: what was told of a mail, by its provider, its links and its pixel."""

from typing import Annotated
from uuid import UUID

import typer

from db import email_events
from workers.cli import console
from workers.cli.services import database

COLUMNS = ("at", "type", "by", "details")


def events(
    email: Annotated[UUID, typer.Argument(help="The mail's id.")],
    as_json: console.JsonOption = False,
) -> None:
    """List what was told of one mail, oldest first; what machines did does not count as seen."""
    with database() as conn:
        found = email_events.list_events(conn, [email])[email]
    if as_json:
        console.print_json(found)
        return
    rows = [
        (
            f"{event.at:%Y-%m-%d %H:%M:%S}",
            event.type,
            "machine" if event.by_bot else "",
            ", ".join(f"{name}: {value}" for name, value in sorted(event.details.items())),
        )
        for event in found
    ]
    console.print_table("events", COLUMNS, rows)
