"""`avivro emails`: what was sent to whom, and what it looks like."""

import typer

from workers.cli import preview, suppressions

app = typer.Typer(no_args_is_help=True)
app.command("preview")(preview.preview)
app.add_typer(
    suppressions.app, name="suppressions", help="Addresses that get no mail: list, add, remove."
)
