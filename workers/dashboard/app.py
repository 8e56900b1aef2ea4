"""The routes of the dashboard process."""

from collections.abc import Mapping, Sequence

import psycopg
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from workers.dashboard.readiness import Readiness
from workers.exposition import Reader, expose

# Figures and states of this moment: nobody on the way may keep them.
FRESH: Mapping[str, str] = {"Cache-Control": "no-store"}


def create(reader: Reader, readiness: Readiness, more: Sequence[BaseRoute] = ()) -> Starlette:
    # Plain functions run in threads, as they may wait for Postgres; this one must need none.
    async def healthz(request: Request) -> Response:
        """The process is up, whatever else is not."""
        return PlainTextResponse("ok\n", headers=FRESH)

    def readyz(request: Request) -> Response:
        problems = readiness.problems()
        body = {
            "ready": not problems,
            "problems": [{"what": each.what, "do": each.do} for each in problems],
        }
        return JSONResponse(body, status_code=503 if problems else 200, headers=FRESH)

    def metrics(request: Request) -> Response:
        try:
            text = expose(reader.read())
        except psycopg.Error:
            return PlainTextResponse(
                "The figures cannot be read; /readyz says why\n", status_code=503, headers=FRESH
            )
        return Response(text, media_type=CONTENT_TYPE_LATEST, headers=FRESH)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            *more,
        ]
    )
