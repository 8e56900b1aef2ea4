"""Which alarms stand, were operators told, and what does each of them ask of me?"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import alerts
from workers.alert_ways import open_ways
from workers.dashboard.forms import Refused
from workers.dashboard.site import Site
from workers.finding import Runbook

FOLDER = Path(__file__).parent.parent / "runbooks"
SLUGS: tuple[str, ...] = get_args(Runbook)
# Watchdogs look every 15 s: without a look for so long nobody watches.
UNWATCHED_S = 90.0


@dataclass(frozen=True, slots=True)
class Page:
    """A runbook: its heading, its first words, and all that stands below the heading."""

    slug: str
    title: str
    lead: str
    html: Markup


def routes(site: Site) -> list[Route]:
    ways = [(way.name, way.target) for way in open_ways(site.config)]

    def show_all(request: Request) -> Response:
        with site.read() as conn:
            found, watch = alerts.list_alerts(conn), alerts.read_watch(conn)
            now = alerts.read_clock(conn)
        looked_s = None if watch.looked_at is None else (now - watch.looked_at).total_seconds()
        return site.show(
            request,
            "runbooks.html",
            open_alerts=[alert for alert in found if alert.recovered_at is None],
            past=[alert for alert in found if alert.recovered_at is not None],
            rows_max=alerts.ROWS_MAX,
            watch=watch,
            is_watched=looked_s is not None and looked_s <= UNWATCHED_S,
            ways=ways,
            runbooks=sorted(map(read, SLUGS), key=lambda runbook: runbook.title),
        )

    def show_one(request: Request) -> Response:
        slug = request.path_params["slug"]
        if slug not in SLUGS:
            raise Refused("There is no such runbook; /runbooks lists all of them.", status=404)
        with site.read() as conn:
            found = alerts.list_alerts(conn, open_only=True)
        return site.show(
            request,
            "runbook.html",
            runbook=read(slug),
            open_alerts=[alert for alert in found if alert.runbook == slug],
        )

    return [site.page("/runbooks", show_all), site.page("/runbooks/{slug}", show_one)]


@cache
def read(slug: str) -> Page:
    """The file is ours; raw HTML in it would be shown, not obeyed."""
    title, _, text = (FOLDER / f"{slug}.md").read_text().removeprefix("# ").partition("\n")
    lead = " ".join(text.strip().partition("\n\n")[0].replace("`", "").split())
    html = MarkdownIt("commonmark", {"html": False}).render(text)
    return Page(slug, title, lead.partition(". ")[0].rstrip(".") + ".", Markup(html))  # noqa: S704
