"""The routes of the dashboard process."""

from collections.abc import Mapping, Sequence

import psycopg
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from workers.dashboard.headers import OTHERS, Headers
from workers.dashboard.readiness import Readiness
from workers.dashboard.site import Site
from workers.exposition import Reader, expose

# Figures and states of this moment: nobody on the way may keep them.
FRESH: Mapping[str, str] = {"Cache-Control": "no-store"}
MISSING = {
    404: "There is nothing at this address. It may have been deleted since, or was mistyped.",
    405: "This address is not asked for in this way.",
}


def create(
    reader: Reader, readiness: Readiness, site: Site, more: Sequence[BaseRoute] = ()
) -> Headers:
    """Everything that the process serves; what is missing or broken is told in the site's look."""
    opened = [
        route
        for route in open_routes(reader, readiness)
        if route.path.removeprefix("/") not in site.config.dashboard_closed
    ]

    async def miss(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if request.url.path.startswith(OTHERS):
            return PlainTextResponse(error.detail, error.status_code, headers=error.headers)
        words = MISSING.get(error.status_code, error.detail)
        response = await run_in_threadpool(site.miss, request, words, status=error.status_code)
        response.headers.update(error.headers or {})
        return response

    async def break_off(request: Request, error: Exception) -> Response:
        return await run_in_threadpool(site.break_off, request, error)

    application = Starlette(
        routes=[*opened, *more],
        exception_handlers={HTTPException: miss, Exception: break_off},
    )
    # Such a redirect would name the host that the request named.
    application.router.redirect_slashes = False
    # Outside of all, so that no answer comes without its headers.
    return Headers(application, site.sessions.peers)


def open_routes(reader: Reader, readiness: Readiness) -> list[Route]:
    """What answers without a login; any of them can be closed."""

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

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
