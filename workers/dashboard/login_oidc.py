"""/login/oidc: off to the identity provider, and back."""

from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from workers.dashboard import login, sessions
from workers.dashboard.door import admit, let_in
from workers.dashboard.forms import Refused, local_path, query_of
from workers.dashboard.oidc import CALLBACK, Provider, Rejected, Secrets
from workers.dashboard.site import Site, to

COOKIE = "avivro_oidc"
NEXT_COOKIE = "avivro_next"
# So long somebody may need at the provider.
LASTS_S = 600.0
NEXT_CHARS_MAX = 90


def routes(site: Site) -> list[Route]:
    provider = Provider(site.config)

    def begin(request: Request) -> Response:
        target = local_path(query_of(request).get("next", "/"))
        seed = sessions.make_token()
        try:
            response = to(provider.begin(Secrets(seed)))
        except Refused as refusal:
            return login.ask(site, request, target, refusal=refusal)
        cookies = {COOKIE: seed, NEXT_COOKIE: short(target)}
        for name, value in cookies.items():
            site.sessions.set_cookie(request, response, name, value, lasts_s=LASTS_S)
        return response

    def end(request: Request) -> Response:
        """The cookie works once, whatever comes of it."""
        target = local_path(unquote(site.sessions.read_cookie(request, NEXT_COOKIE) or "/"))
        try:
            response = come_back(request, target)
        except Refused as refusal:
            response = login.ask(site, request, target, refusal=refusal)
        for name in (COOKIE, NEXT_COOKIE):
            site.sessions.drop_cookie(request, response, name)
        return response

    def come_back(request: Request, target: str) -> Response:
        seed = site.sessions.read_cookie(request, COOKIE)
        if not seed:
            raise Rejected("it did not begin in this browser, or took too long")
        account = admit(site, provider.end(query_of(request), Secrets(seed)))
        return let_in(site, request, account, to(target))

    return [site.open_page("/login/oidc", begin), site.open_page(CALLBACK, end)]


def short(target: str) -> str:
    """As a cookie may hold it; a longer address is forgotten."""
    quoted = quote(target)
    return quoted if len(quoted) <= NEXT_CHARS_MAX else "/"
