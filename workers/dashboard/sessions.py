"""Sessions: a random token in a cookie, its hash in Postgres, and what every form must carry."""

import hashlib
import hmac
import secrets
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from db import operators
from db.operators import Operator
from db.pool import Connection
from workers.dashboard.forms import Form, Refused
from workers.dashboard.site import Borrow

COOKIE = "avivro_session"
TOKEN_BYTES = 32
LASTS_S = 12 * 3_600.0


class Sessions:
    """The guard of a site whose operators log in here."""

    def __init__(self, borrow: Borrow) -> None:
        self._borrow = borrow

    def find(self, request: Request) -> Operator | None:
        token = request.cookies.get(COOKIE)
        if not token:
            return None
        with self._borrow() as conn:
            return operators.find_by_session(conn, token_hash=digest(token))

    def token(self, request: Request) -> str:
        return form_token(request.cookies.get(COOKIE, ""))

    def check(self, request: Request, form: Form) -> None:
        given = form.one("csrf", "")
        if not hmac.compare_digest(given.encode(), self.token(request).encode()):
            raise Refused("This form is not of your session: load the page again.", status=403)


def begin(conn: Connection, operator_id: UUID, *, user_agent: str) -> str:
    """Begin a session; what its cookie must hold."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    operators.insert_session(
        conn, operator_id, token_hash=digest(token), lasts_s=LASTS_S, user_agent=user_agent
    )
    return token


def set_cookie(response: Response, token: str, *, secure: bool) -> None:
    response.set_cookie(
        COOKIE, token, max_age=int(LASTS_S), httponly=True, secure=secure, samesite="lax"
    )


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def form_token(token: str) -> str:
    """Made from the session's token, which no page shows and no other site can read."""
    return hmac.new(token.encode(), b"form", hashlib.sha256).hexdigest()
