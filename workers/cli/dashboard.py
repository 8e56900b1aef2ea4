"""`avivro dashboard`."""

import typer

from workers.cli.services import process
from workers.dashboard import server


def register(app: typer.Typer) -> None:
    app.command("dashboard")(dashboard)


def dashboard() -> None:
    """Serve /metrics, /healthz and /readyz on DASHBOARD_HOST and DASHBOARD_PORT."""
    with process("dashboard") as found:
        server.run(found)
