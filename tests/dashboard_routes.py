"""Every address that the dashboard's application answers, taken from its routes."""

import re
from collections.abc import Iterator

from starlette.routing import Mount, Route

from tests.dashboard_world import Desk

# What stands for a part of a path: nothing that exists.
SAMPLES = {
    "job_id": "1",
    "tenant": "00000000-0000-4000-8000-000000000000",
    "id": "1",
}
SAMPLE = "00000000-0000-4000-8000-000000000000"


def patterns(desk: Desk) -> Iterator[tuple[str, str]]:
    """Method and path, as it was routed."""
    for route in desk.application.app.routes:  # type: ignore[attr-defined]
        if isinstance(route, Mount):
            yield "GET", f"{route.path}/{{file}}"
        elif isinstance(route, Route):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, route.path
        else:
            raise AssertionError(f"what answers at {route}?")


def addresses(desk: Desk) -> list[tuple[str, str]]:
    """Method and path, filled with samples."""
    return [(method, fill(path)) for method, path in patterns(desk)]


def fill(path: str) -> str:
    path = path.replace("{file}", "live.js")
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: SAMPLES.get(found[1], SAMPLE), path)
