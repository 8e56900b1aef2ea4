"""`avivro dashboard`."""

import typer

from workers.cli.services import process
from workers.dashboard import server


def register(app: typer.Typer) -> None:
    app.command("dashboard")(dashboard)


def dashboard() -> None:
    """Serve the dashboard on DASHBOARD_HOST and DASHBOARD_PORT; the first start logs a password."""
    with process("dashboard") as found:
        server.run(found)
