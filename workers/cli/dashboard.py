"""`avivro dashboard`."""

import typer

from workers.cli.services import services
from workers.dashboard import server


def register(app: typer.Typer) -> None:
    app.command("dashboard")(dashboard)


def dashboard() -> None:
    """Serve /metrics, /healthz and /readyz on DASHBOARD_HOST and DASHBOARD_PORT."""
    with services() as found:
        server.run(found)
