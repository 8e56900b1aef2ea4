"""What all pages share: who asks, what they may, how a page is shown, how a change is noted.

A page is a plain function `handler(request) -> Response` (it runs in a thread and may wait for
Postgres); an action is `handler(request, form) -> Response`. Each is made a route here, with the
role it needs: nothing is reachable that was not passed through `page` or `action`.
"""

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode
from uuid import NAMESPACE_OID, uuid5

import jinja2
import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from db import audit, bulk, dashboard
from db.operators import Operator
from db.pool import UNMIGRATED, Connection
from db.times import bound_times
from workers.answering import Borrow
from workers.config import Config
from workers.dashboard.forms import Form, Refused, local_path, read_form
from workers.dashboard.passwords import Passwords
from workers.dashboard.sessions import Sessions
from workers.dashboard.words import FILTERS

PageHandler = Callable[[Request], Response]
ActionHandler = Callable[[Request, Form], Response]

HERE = Path(__file__).parent
# A page that takes longer shall rather fail than weigh on the engine.
READ_S_MAX = 5.0
WRITE_S_MAX = 15.0
LOCK_S_MAX = 3.0
NOTICE_COOKIE = "avivro_notice"
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex, nofollow",
}
# In the bar, with the letter that goes there after g.
PAGES = (
    ("/", "Overview", "o"),
    ("/jobs", "Jobs", "j"),
    ("/errors", "Errors", "e"),
    ("/queues", "Queues", "q"),
    ("/workers", "Workers", "w"),
    ("/tenants", "Tenants", "t"),
    ("/schedules", "Schedules", "s"),
    ("/knowledge", "Knowledge", "k"),
    ("/webhooks", "Webhooks", "h"),
    ("/email", "Email", "m"),
    ("/usage", "Usage", "u"),
    ("/audit", "Audit", "a"),
)

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Act:
    """An action under way; `details` go into the audit log beside it.

    What was so already, as when a form came twice, is no change and leaves no entry.
    """

    conn: Connection
    details: dict[str, Any] = field(default_factory=dict)
    changed: bool = True


class SentBefore(Exception):
    """The page has sent this already, and it was done."""


class Site:
    def __init__(
        self,
        borrow: Borrow,
        sessions: Sessions,
        config: Config,
        passwords: Passwords | None = None,
    ) -> None:
        self.config = config
        self.sessions = sessions
        self.passwords = passwords or Passwords()
        self._borrow = borrow
        self._templates = environment()
        # Of what pages keep for all who watch; each adds its own.
        self.first_reads: list[Callable[[], object]] = []
        # By page, what stands beside its name in the bar; replaced by what keeps it fresh.
        self.badges: Callable[[], Mapping[str, Mapping[str, str]]] = dict

    def warm_up(self) -> None:
        """So that who asks first after a start waits no longer than the next."""
        for name in self._templates.list_templates():
            self._templates.get_template(name)
        # Where Postgres is away, who asks hears of it.
        with suppress(psycopg.Error):
            for read in self.first_reads:
                read()

    def knows(self, request: Request, *, away: bool = False) -> bool:
        """Whether anybody who may read asks; `away` is the answer while Postgres is."""
        try:
            operator = self.sessions.find(request)
            return operator is not None and not operator.must_change_password
        except psycopg.OperationalError:
            return away

    def page(
        self, path: str, handler: PageHandler, *, role: str = "viewer", always: bool = False
    ) -> Route:
        """`always`: also before a one-time password was replaced."""

        def endpoint(request: Request) -> Response:
            return self._answer(
                request, lambda: self._enter(request, role, always) or handler(request)
            )

        return Route(path, endpoint, methods=["GET"])

    def action(
        self, path: str, handler: ActionHandler, *, role: str = "operator", always: bool = False
    ) -> Route:
        def enter(request: Request, form: Form) -> Response:
            if refused := self._enter(request, role, always):
                return refused
            self.sessions.check(request, form)
            try:
                return handler(request, form)
            except SentBefore:
                return self.back(form, "This form was sent before: nothing was done twice.")

        return self._posted(path, enter)

    def open_page(self, path: str, handler: PageHandler) -> Route:
        """One that strangers see."""

        def endpoint(request: Request) -> Response:
            return self._answer(request, lambda: handler(request))

        return Route(path, endpoint, methods=["GET"])

    def open_action(self, path: str, handler: ActionHandler) -> Route:
        """One that strangers may post to: the handler checks the form's own token."""
        return self._posted(path, handler)

    def _posted(self, path: str, handler: ActionHandler) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                self.sessions.peers.check_origin(request)
                form = await read_form(request)
            except Refused as refusal:
                return await run_in_threadpool(self._answer, request, raising(refusal))
            return await run_in_threadpool(self._answer, request, lambda: handler(request, form))

        return Route(path, endpoint, methods=["POST"])

    def _enter(self, request: Request, role: str, always: bool) -> Response | None:
        """Notes who asks; elsewhere where nobody is known, or a new password is due."""
        operator = self.sessions.find(request)
        if operator is None:
            return to_login(request)
        request.state.operator = operator
        if operator.must_change_password and not always:
            if request.method == "GET":
                return to("/account")
            raise Refused("Choose a password of your own first: see Account.", status=403)
        if not operator.may(role):
            log.warning("%s %s: refused to %s", request.method, request.url.path, operator.name)
            raise Refused(f"This needs the role {role}; yours is {operator.role}.", status=403)
        return None

    def _answer(self, request: Request, answer: Callable[[], Response]) -> Response:
        try:
            return answer()
        except Refused as refusal:
            return self.refuse(request, str(refusal), status=refusal.status)
        except psycopg.errors.QueryCanceled:
            return self.refuse(
                request, "This took too long and was stopped: ask for less.", status=503
            )
        except psycopg.errors.LockNotAvailable:
            return self.refuse(request, "Others hold these rows: try again.", status=503)
        except psycopg.OperationalError:
            log.warning("page %s: Postgres is away", request.url.path)
            return self.refuse(
                request, "Postgres does not answer. Jobs are safe; /readyz says more.", status=503
            )
        except UNMIGRATED:
            log.exception("page %s: the schema is another one", request.url.path)
            return self.refuse(
                request, "The database lacks a migration: run avivro migrate.", status=503
            )
        except Exception as error:  # noqa: BLE001 - a trace is for the log, not for the page
            return self.break_off(request, error)

    def miss(self, request: Request, message: str, *, status: int) -> Response:
        """For an address that no page has; who is logged in sees the bar all the same."""
        if not hasattr(request.state, "operator"):
            with suppress(psycopg.Error):
                request.state.operator = self.sessions.find(request)
        return self.refuse(request, message, status=status, title="Not found")

    def break_off(self, request: Request, error: Exception) -> Response:
        """What went wrong is in the log, under an id that the page shows; nothing else leaks."""
        trouble = secrets.token_hex(4)
        path = request.url.path
        log.error("%s %s broke: id %s", request.method, path, trouble, exc_info=error)
        return self.refuse(
            request,
            f"This is a defect of ours. The dashboard's log says more: look for id {trouble}.",
            status=500,
            title="Something broke",
        )

    def refuse(
        self, request: Request, message: str, *, status: int, title: str = "Not done"
    ) -> Response:
        return self.show(request, "refused.html", status=status, message=message, title=title)

    def show(
        self, request: Request, template: str, *, status: int = 200, **context: Any
    ) -> Response:
        """A page. Besides `context` it knows operator, csrf, path, here, pages, notice, badges of
        the bar, and when it was asked for."""
        notice = unquote(request.cookies.get(NOTICE_COOKIE, ""))
        operator = getattr(request.state, "operator", None)
        html = self._templates.get_template(template).render(
            operator=operator,
            csrf="" if operator is None else self.sessions.token(request),
            path=request.url.path,
            here=here(request),
            pages=PAGES,
            notice=notice,
            badges=self.badges(),
            asked_at=datetime.now(UTC),
            **context,
        )
        response = HTMLResponse(html, status_code=status, headers=SAFE)
        if notice:
            response.delete_cookie(NOTICE_COOKIE)
        return response

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only transaction that ends after READ_S_MAX."""
        with self._borrow() as conn, conn.transaction():
            # One row with a time of infinity shall not take the page of all others away.
            bound_times(conn)
            dashboard.limit_reading(conn, seconds=READ_S_MAX)
            yield conn

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction before anybody is known; who changes something in it, notes it there."""
        with self._borrow() as conn, conn.transaction():
            bound_times(conn)
            dashboard.limit_writing(conn, seconds=WRITE_S_MAX, lock_s=LOCK_S_MAX)
            yield conn

    @contextmanager
    def act(
        self, request: Request, action: str, *, target: str, why: str, once: bool = False
    ) -> Iterator[Act]:
        """One transaction: what is done in it, and its entry in the audit log, or neither.

        Raises SentBefore with `once`, where the same page has sent it already: a second click, or
        a form that the browser's Back brought again.
        """
        operator: Operator = request.state.operator
        with self.write() as conn:
            if once:
                refuse_second(conn, request, f"{action} {target}")
            act = Act(conn)
            yield act
            if not act.changed:
                return
            audit.append(
                conn,
                operator=operator.name,
                role=operator.role,
                action=action,
                target=target,
                why=why,
                details=act.details,
            )
        log.info("%s by %s: %s (%s)", action, operator.name, target, why)

    def back(self, form: Form, notice: str) -> Response:
        """After an action: to the page it came from (`next`), which shows the notice once."""
        response = to(local_path(form.one("next", "/")))
        response.set_cookie(
            NOTICE_COOKIE, quote(notice[:500]), max_age=30, httponly=True, samesite="lax"
        )
        return response


def refuse_second(conn: Connection, request: Request, what: str) -> None:
    page = getattr(request.state, "page", "")
    if not page:
        return
    bulk.forget_parts(conn)
    if not bulk.begin_part(conn, run=uuid5(NAMESPACE_OID, f"{page} {what}"), part=0):
        raise SentBefore


def raising(refusal: Refused) -> Callable[[], Response]:
    def answer() -> Response:
        raise refusal

    return answer


def here(request: Request) -> str:
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


def to_login(request: Request) -> Response:
    """A fragment that htmx asked for cannot show a login: then the whole page goes there."""
    target = f"/login?{urlencode({'next': here(request) if request.method == 'GET' else '/'})}"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={**SAFE, "HX-Redirect": target})
    return to(target)


def to(path: str) -> Response:
    return RedirectResponse(path, 303, headers=SAFE)


def environment() -> jinja2.Environment:
    """Everything is escaped; a name that a template mistypes is an error."""
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(FILTERS)
    templates.globals["asset"] = asset
    templates.globals["address"] = address
    return templates


@cache
def asset(name: str) -> str:
    """The address of a shipped file, which changes when the file does."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def address(path: str, fields: Mapping[str, Any] | None = None, **more: Any) -> str:
    """A path with a query; fields that are None or empty are left out."""
    wanted = {**(fields or {}), **more}
    query = urlencode({name: value for name, value in wanted.items() if value not in (None, "")})
    return f"{path}?{query}" if query else path
