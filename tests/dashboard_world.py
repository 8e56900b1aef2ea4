"""The dashboard's application over a real database, and browsers that are logged in to it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from uuid import uuid4

from argon2 import PasswordHasher
from httpx2 import Response
from starlette.testclient import TestClient

from db import operators
from db.pool import connect, open_pool
from workers import config
from workers.config import Config
from workers.dashboard import sessions
from workers.dashboard.app import create
from workers.dashboard.headers import Headers
from workers.dashboard.passwords import Passwords
from workers.dashboard.readiness import Readiness
from workers.dashboard.routes import operator_routes
from workers.dashboard.sessions import COOKIE, Sessions
from workers.dashboard.site import Site
from workers.exposition import Reader

# As argon2id as the real ones, and a thousand times cheaper.
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
TOKEN = re.compile(r'name="csrf" value="([0-9a-f]+)"')


class Desk:
    """Opens browsers: one a role, or one that nobody is logged in with."""

    def __init__(self, url: str, application: Headers, site: Site) -> None:
        self.application = application
        self.site = site
        self._url = url

    def visitor(self, address: str = "127.0.0.1") -> "Visitor":
        """Somebody who is not logged in yet, at a network address."""
        return Visitor(self._open(address))

    def browser(self, role: str | None = "operator", name: str | None = None) -> "Browser":
        client = self._open("127.0.0.1")
        token = ""
        if role is not None:
            token = self._log_in(role, name or f"{role}-{uuid4().hex[:8]}")
            client.cookies.set(COOKIE, token)
        return Browser(client, token)

    def _open(self, address: str) -> TestClient:
        return TestClient(
            self.application,
            base_url="http://127.0.0.1:8800",
            follow_redirects=False,
            raise_server_exceptions=False,
            client=(address, 50_000),
        )

    def _log_in(self, role: str, name: str) -> str:
        with connect(self._url) as conn:
            operator_id = operators.insert_operator(conn, name, role=role)
            assert operator_id is not None
            return sessions.begin(conn, operator_id, user_agent="tests")


class Browser:
    """Gets pages, and posts forms as a page of ours would."""

    def __init__(self, client: TestClient, token: str) -> None:
        self.client = client
        # What its forms carry.
        self.token = sessions.form_token(token)

    def get(self, path: str, **headers: str) -> str:
        """The page's text; fails unless it is 200."""
        answer = self.client.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:2000])
        return answer.text

    def status(self, path: str) -> int:
        return self.client.get(path).status_code

    def post(self, path: str, *, why: str = "because a test asks", **fields: object) -> str:
        """Acts; where the answer leads to, and fails unless it leads anywhere."""
        answer = self.send(path, csrf=self.token, why=why, **fields)
        assert answer[0] == 303, answer
        return answer[1]

    def press(self, page: str, action: str, **more: object) -> tuple[int, str]:
        """Send the form of a page as it stands there, with what somebody types in it."""
        (form,) = re.findall(rf'<form[^>]* action="{action}".*?</form>', page, re.DOTALL)
        hidden = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form)
        return self.send(action, **{"why": "x", **dict(hidden), **more})

    def send(self, path: str, **fields: object) -> tuple[int, str]:
        """Status, and the location or the text; lists are fields that come several times."""
        answer = self.client.post(path, data={k: listed(v) for k, v in fields.items()})
        return answer.status_code, answer.headers.get("location", answer.text)


class Visitor:
    """Comes to the login, and keeps the cookies it is given."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def login_token(self) -> str:
        """What the form of the login carries."""
        found = TOKEN.search(self.client.get("/login?out=1").text)
        if found is None:
            self.client.cookies.delete(COOKIE)
            found = TOKEN.search(self.client.get("/login?out=1").text)
        assert found is not None
        return found[1]

    def sign_in(
        self,
        name: str,
        password: str,
        *,
        next: str = "/",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        fields = {"name": name, "password": password, "next": next, "csrf": self.login_token()}
        return self.client.post("/login", data=fields, headers=headers)

    def session(self) -> str:
        return self.client.cookies.get(COOKIE) or ""

    def post(self, path: str, **fields: str) -> Response:
        """As a page of the session would."""
        token = sessions.form_token(self.session())
        return self.client.post(path, data={"csrf": token, **fields})


def listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


@contextmanager
def open_desk(url: str, redis_url: str, **settings: object) -> Iterator[Desk]:
    """A dashboard; `settings` are those of Config."""
    with open_pool(url, size_max=8, name="dashboard") as pool:
        borrow = partial(pool.connection, timeout=5.0)
        found = configured(url, redis_url, **settings)
        site = Site(borrow, Sessions(borrow, found), found, Passwords(CHEAP))
        routes = operator_routes(site)
        application = create(Reader(borrow), Readiness(pool, redis_url), site, routes)
        yield Desk(url, application, site)


def configured(url: str, redis_url: str, **settings: object) -> Config:
    return replace(
        config.load(),
        database_url=url,
        redis_url=redis_url,
        **settings,  # type: ignore[arg-type]
    )
