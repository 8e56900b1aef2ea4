"""`avivro dashboard`."""

import typer

from workers.cli.services import process


def register(app: typer.Typer) -> None:
    app.command("dashboard")(dashboard)


def dashboard() -> None:
    """Serve the dashboard on DASHBOARD_HOST and DASHBOARD_PORT; the first start logs a password."""
    # Its pages are a third of what all commands together load: the others begin without them.
    from workers.dashboard import server

    with process("dashboard") as found:
        server.run(found)
