"""Am I let in, and what is recorded?"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workers.dashboard.forms import query_of
from workers.dashboard.site import Site


def routes(site: Site) -> list[Route]:
    def show(request: Request) -> Response:
        return site.show(request, "login.html", next=query_of(request).get("next", "/"))

    return [Route("/login", show, methods=["GET"])]
