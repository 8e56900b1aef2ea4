"""Who am I here, where am I signed in, and is my password mine alone?"""

from functools import partial
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import operators
from db.operators import Operator
from workers.dashboard import passwords, sessions
from workers.dashboard.door import Wrong, judge
from workers.dashboard.forms import Form, Refused
from workers.dashboard.site import Site

OWN = "own account"


def routes(site: Site) -> list[Route]:
    return [
        site.page("/account", partial(show, site), always=True),
        site.action(
            "/account/password", partial(change_password, site), role="viewer", always=True
        ),
        site.action("/account/end_session", partial(end_session, site), role="viewer"),
        site.action("/account/end_others", partial(end_others, site), role="viewer"),
    ]


def show(site: Site, request: Request) -> Response:
    operator = me(request)
    with site.read() as conn:
        found = operators.list_sessions(
            conn,
            operator.id,
            token_hash=site.sessions.token_hash(request),
            idle_s=sessions.IDLE_S,
        )
    return site.show(request, "account.html", sessions=found, chars_min=passwords.CHARS_MIN)


def change_password(site: Site, request: Request, form: Form) -> Response:
    """Everybody else who is signed in as this operator is signed out."""
    operator = me(request)
    new = read_new(site, request, form)
    password_hash = site.passwords.hash(new)
    with site.act(request, "change_password", target=target(operator), why=OWN) as act:
        operators.set_password(
            act.conn, operator.id, password_hash=password_hash, must_change_password=False
        )
        ended = operators.delete_sessions(act.conn, operator.id)
        token = sessions.begin(
            act.conn,
            operator.id,
            user_agent=request.headers.get("user-agent", ""),
            address=site.sessions.peers.address(request),
        )
        act.details["sessions_ended"] = ended - 1
    response = site.back(form, "Your password is changed; other sessions have ended.")
    site.sessions.set_cookie(request, response, sessions.COOKIE, token, lasts_s=sessions.LASTS_S)
    return response


def end_session(site: Site, request: Request, form: Form) -> Response:
    operator = me(request)
    session_id = read_id(form.one("session_id"))
    with site.act(request, "end_sessions", target=target(operator), why=OWN) as act:
        if not operators.delete_session_of(act.conn, operator.id, session_id=session_id):
            raise Refused("This session has ended already.", status=404)
        act.details["sessions_ended"] = 1
    return site.back(form, "The session has ended.")


def end_others(site: Site, request: Request, form: Form) -> Response:
    operator = me(request)
    with site.act(request, "end_sessions", target=target(operator), why=OWN) as act:
        kept = site.sessions.token_hash(request)
        act.details["sessions_ended"] = operators.delete_sessions(act.conn, operator.id, kept=kept)
    return site.back(form, "All other sessions have ended.")


def me(request: Request) -> Operator:
    operator: Operator = request.state.operator
    return operator


def target(operator: Operator) -> str:
    return f"operator {operator.name}"


def read_new(site: Site, request: Request, form: Form) -> str:
    """The new password. Raises Refused; a one-time password was given at the door already."""
    operator = me(request)
    if operator.origin != "password":
        raise Refused("You sign in elsewhere: there is no password here to change.")
    new = form.one("new")
    if new != form.one("again"):
        raise Refused("The new password was not typed alike both times.")
    passwords.check_new(new, name=operator.name)
    if not operator.must_change_password:
        check_current(site, request, form.one("current"))
        if new == form.one("current"):
            raise Refused("The new password is the old one.")
    return new


def check_current(site: Site, request: Request, current: str) -> None:
    try:
        judge(site, request, me(request).name, current)
    except Wrong as error:
        raise Refused("The current password is wrong.", status=403) from error


def read_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Refused("This is no session.", status=404) from None
