"""Am I let in, and what is recorded?"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from db import operators
from workers.dashboard import sessions
from workers.dashboard.door import Locked, Voucher, admit, judge, let_in
from workers.dashboard.forms import Form, Refused, local_path, query_of
from workers.dashboard.site import Site, to

# A form of this page must come back with what this cookie holds, so that no other site can log
# somebody in under a name of its own.
COOKIE = "avivro_login"
LASTS_S = 3_600.0
STALE = "This form was too old, or your browser keeps no cookies from here. Try again{}."


def routes(site: Site) -> list[Route]:
    def show(request: Request) -> Response:
        query = query_of(request)
        target = local_path(query.get("next", "/"))
        if site.sessions.find(request) is not None:
            return to(target)
        vouched = site.sessions.peers.vouched_name(request)
        if vouched is not None and "out" not in query:
            account = admit(site, Voucher("header", vouched))
            return let_in(site, request, account, to(target))
        return ask(site, request, target, notice="You are signed out." if "out" in query else "")

    def sign_in(request: Request, form: Form) -> Response:
        target = local_path(form.one("next", "/"))
        try:
            check(site, request, form)
            account = judge(site, request, form.one("name", ""), form.one("password", ""))
        except Refused as refusal:
            return ask(site, request, target, refusal=refusal)
        if account.must_change_password:
            target = "/account"
        return let_in(site, request, account, to(target))

    def sign_out(request: Request, form: Form) -> Response:
        operator = request.state.operator
        with site.act(request, "log_out", target=f"operator {operator.name}", why="login") as act:
            operators.delete_session(act.conn, token_hash=site.sessions.token_hash(request))
        response = to("/login?out=1")
        site.sessions.drop_cookie(request, response, sessions.COOKIE)
        return response

    return [
        site.open_page("/login", show),
        site.open_action("/login", sign_in),
        site.action("/logout", sign_out, role="viewer", always=True),
    ]


def ask(
    site: Site,
    request: Request,
    target: str,
    *,
    notice: str = "",
    refusal: Refused | None = None,
) -> Response:
    """The form. What was typed is not shown again."""
    token = site.sessions.read_cookie(request, COOKIE) or sessions.make_token()
    response = site.show(
        request,
        "login.html",
        status=200 if refusal is None else refusal.status,
        token=sessions.form_token(token),
        next=target,
        said=notice,
        refusal="" if refusal is None else str(refusal),
        provider=site.config.oidc_issuer,
    )
    if isinstance(refusal, Locked):
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    site.sessions.set_cookie(request, response, COOKIE, token, lasts_s=LASTS_S)
    return response


def check(site: Site, request: Request, form: Form) -> None:
    token = site.sessions.read_cookie(request, COOKIE)
    if not token or not sessions.is_same(form.one("csrf", ""), sessions.form_token(token)):
        secure = site.sessions.peers.is_secure(request) and request.url.scheme == "http"
        hint = ", by the https address" if secure else ""
        raise Refused(STALE.format(hint), status=403)
