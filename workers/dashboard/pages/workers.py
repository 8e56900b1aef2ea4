"""Who works, on what, and is anybody ill?"""

from functools import partial
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import crews, processes
from workers.dashboard import masks
from workers.dashboard.crews import ROLES, meet, missing
from workers.dashboard.forms import Form, Refused
from workers.dashboard.site import Site

GONE = "No live worker has this id: it has ended, or its lease ran out."


def routes(site: Site) -> list[Route]:
    return [
        site.page("/workers", partial(show, site)),
        site.action("/workers/drain", partial(drain, site)),
    ]


def show(site: Site, request: Request) -> Response:
    with site.read() as conn:
        members = crews.list_processes(conn)
        running = crews.list_running(conn)
        usual_s = crews.list_usual(conn, sorted({job.kind for job in running}))
    people = meet(members, running, usual_s)
    known = {each.row.id for each in people}
    return site.show(
        request,
        "workers.html",
        people=[each for each in people if each.health != "dead"],
        dead=[each for each in people if each.health == "dead"],
        roles=ROLES,
        missing=missing(people),
        lost=[job for job in running if job.worker_id not in known],
        most=crews.PROCESSES_MAX,
        masks=masks,
    )


def drain(site: Site, request: Request, form: Form) -> Response:
    """Let a worker finish what it runs and end."""
    try:
        process_id = UUID(form.one("id"))
    except ValueError:
        raise Refused(GONE, status=404) from None
    with site.act(request, "drain_worker", target=f"worker {process_id}", why=form.why) as act:
        asked = processes.request_drain(act.conn, process_id)
        if asked is None:
            raise Refused(GONE, status=404)
        act.changed = not asked.again
        act.details.update(host=asked.host, pid=asked.pid)
    return site.back(
        form, f"{masks.cut(asked.host, 80)}:{asked.pid} claims no more and ends with what it runs."
    )
