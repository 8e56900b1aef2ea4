"""Every page of operators, in the order of the bar."""

from pathlib import Path
from typing import Protocol

from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from workers.dashboard import live, login
from workers.dashboard.site import Site


class Page(Protocol):
    """A module of `pages`; its docstring is the question that it answers to who is on call."""

    def routes(self, site: Site) -> list[Route]: ...


PAGES: tuple[Page, ...] = ()


def operator_routes(site: Site) -> list[BaseRoute]:
    """The pages, the files that they load, and the stream that keeps them fresh."""
    static = StaticFiles(directory=Path(__file__).parent / "static")
    pages = [route for page in PAGES for route in page.routes(site)]
    return [*pages, *login.routes(site), *live.routes(site), Mount("/static", static)]
