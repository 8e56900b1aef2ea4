"""What pages hide is shown once, to whom it is allowed; who looked, and why, is kept."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from db.pool import Connection
from workers.dashboard.forms import Form
from workers.dashboard.site import Site


def reveal(
    site: Site, request: Request, form: Form, target: str, show: Callable[[Connection], Response]
) -> Response:
    """`target` is a noun and an id. Where it cannot be shown, nothing is noted."""
    action = f"reveal_{target.partition(' ')[0]}"
    with site.act(request, action, target=target, why=form.why) as act:
        return show(act.conn)
