"""Sessions: a random token in a cookie, its hash in Postgres, and what every form must carry."""

import hashlib
import hmac
import secrets
from uuid import UUID

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from db import operators
from db.operators import Operator
from db.pool import Connection
from workers.answering import Borrow
from workers.config import Config
from workers.dashboard.forms import Form, Refused
from workers.dashboard.peers import Peers

COOKIE = "avivro_session"
# Browsers take a cookie of this name only over https, for this host and all of its paths.
HOST_PREFIX = "__Host-"
TOKEN_BYTES = 32
TOKEN_CHARS_MAX = 100
# Of what forms carry: the session's part, and the page's after it.
FORM_CHARS = 64
PAGE_BYTES = 16
# A shift, and a long pause in it. A page that refreshes itself is nobody at work.
LASTS_S = 12 * 3_600.0
IDLE_S = 2 * 3_600.0


class Sessions:
    """Who asks, as far as a cookie of ours tells."""

    def __init__(self, borrow: Borrow, config: Config) -> None:
        self.peers = Peers(config)
        self._borrow = borrow

    def find(self, request: HTTPConnection) -> Operator | None:
        """Whoever a proxy vouches for is believed as long as it does, session or not."""
        token = self.read_cookie(request, COOKIE)
        if not token:
            return None
        with self._borrow() as conn:
            operator = operators.find_by_session(
                conn, token_hash=digest(token), idle_s=IDLE_S, is_activity=is_activity(request)
            )
        if operator is not None and operator.origin == "header":
            vouched = self.peers.vouched_name(request)
            if vouched is None or vouched.lower() != operator.name.lower():
                return None
        return operator

    def token(self, request: HTTPConnection) -> str:
        """What forms of a page carry: whose session it is, and a name for this very page."""
        return form_token(self.read_cookie(request, COOKIE)) + secrets.token_hex(PAGE_BYTES)

    def token_hash(self, request: HTTPConnection) -> bytes:
        """What names the session that asks in Postgres."""
        return digest(self.read_cookie(request, COOKIE))

    def check(self, request: Request, form: Form) -> None:
        """Notes the page that sent it. Raises Refused for a form of no page of this session."""
        given = form.one("csrf", "")
        if not is_same(given[:FORM_CHARS], form_token(self.read_cookie(request, COOKIE))):
            raise Refused("This form is not of your session: load the page again.", status=403)
        request.state.page = given[FORM_CHARS : FORM_CHARS + 2 * PAGE_BYTES]

    def read_cookie(self, request: HTTPConnection, name: str) -> str:
        """Empty without one. Over https, one that came over http before is none."""
        return request.cookies.get(self._named(request, name), "")[:TOKEN_CHARS_MAX]

    def set_cookie(
        self, request: HTTPConnection, response: Response, name: str, value: str, *, lasts_s: float
    ) -> None:
        response.set_cookie(
            self._named(request, name),
            value,
            max_age=int(lasts_s),
            httponly=True,
            secure=self.peers.is_secure(request),
            samesite="lax",
        )

    def drop_cookie(self, request: HTTPConnection, response: Response, name: str) -> None:
        self.set_cookie(request, response, name, "", lasts_s=0)

    def _named(self, request: HTTPConnection, name: str) -> str:
        return HOST_PREFIX + name if self.peers.is_secure(request) else name


def begin(conn: Connection, operator_id: UUID, *, user_agent: str, address: str = "") -> str:
    """Begin a session; what its cookie must hold."""
    token = make_token()
    operators.insert_session(
        conn,
        operator_id,
        token_hash=digest(token),
        lasts_s=LASTS_S,
        user_agent=user_agent.replace("\0", ""),
        address=address,
    )
    return token


def make_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def form_token(token: str) -> str:
    """Made from the session's token, which no page shows and no other site can read."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()


def is_same(given: str, expected: str) -> bool:
    """Compared in the same time wherever they differ."""
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode("utf-8", "surrogatepass")
    )


def is_activity(request: HTTPConnection) -> bool:
    """Whether a person did something: the stream and what it lets a page refresh do not count."""
    return request.url.path != "/live" and request.headers.get("hx-target") != "live"
