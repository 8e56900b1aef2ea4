"""Every page of operators, in the order of the bar."""

from typing import Protocol

from starlette.routing import BaseRoute, Mount, Route

from workers.dashboard import live, login
from workers.dashboard.pages import (
    account,
    audit,
    email,
    errors,
    job,
    jobs,
    knowledge,
    operators,
    overview,
    queues,
    runbooks,
    schedules,
    tenants,
    usage,
    webhooks,
    workers,
)
from workers.dashboard.shipped import Shipped
from workers.dashboard.site import Site


class Page(Protocol):
    """A module of `pages`; its docstring is the question that it answers to who is on call."""

    def routes(self, site: Site) -> list[Route]: ...


PAGES: tuple[Page, ...] = (
    overview,
    jobs,
    job,
    errors,
    schedules,
    queues,
    workers,
    tenants,
    usage,
    knowledge,
    webhooks,
    email,
    audit,
    runbooks,
    operators,
    account,
)


def operator_routes(site: Site) -> list[BaseRoute]:
    """The pages, the files that they load, and the stream that keeps them fresh."""
    pages = [route for page in PAGES for route in page.routes(site)]
    return [
        *pages,
        *login.routes(site),
        *company_login(site),
        *live.routes(site),
        Mount("/static", Shipped()),
    ]


def company_login(site: Site) -> list[Route]:
    """Its libraries take a third of a second to load, so only where there is a provider."""
    if site.config.oidc_issuer is None:
        return []
    from workers.dashboard import login_oidc

    return login_oidc.routes(site)
