"""The files that pages load: kept by browsers for as long as their address says what they hold."""

from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from workers.dashboard.site import asset

FOLDER = Path(__file__).parent / "static"
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"


class Shipped(StaticFiles):
    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        is_current = f"/static/{path}?{scope['query_string'].decode('latin-1')}" == named(path)
        response.headers["Cache-Control"] = FOR_EVER if is_current else ASK_AGAIN
        return response


def named(path: str) -> str | None:
    """The address that pages use for it; None for what is not shipped."""
    return asset(path) if path in SHIPPED else None


SHIPPED = frozenset(file.name for file in FOLDER.iterdir() if file.is_file())
