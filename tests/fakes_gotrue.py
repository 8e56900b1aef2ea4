"""Supabase Auth's REST interface, as strict as the real one, in this process."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import jwt

PASSWORD_CHARS_MIN = 6


class Refusal(Exception):
    def __init__(self, status: int, code: str, msg: str) -> None:
        super().__init__(msg)
        self.status = status
        self.body = {"code": status, "error_code": code, "msg": msg}


@dataclass
class GoTrue:
    """What the service knows. `raw` answers instead of it, as a broken one would."""

    url: str = ""
    anon_key: str = "the-anon-key"
    secret: str = "a-secret-of-at-least-thirty-two-characters"
    confirms_addresses: bool = False
    raw: tuple[int, bytes] | None = None
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)

    def sign_up(self, fields: dict[str, Any]) -> dict[str, Any]:
        email, password = str(fields["email"]).lower(), str(fields["password"])
        if "@" not in email:
            raise Refusal(400, "validation_failed", "Unable to validate email address: invalid")
        if len(password) < PASSWORD_CHARS_MIN:
            raise Refusal(422, "weak_password", "Password should be at least 6 characters.")
        if email in self.users:
            if self.confirms_addresses:
                return {**self.user(email, {}), "identities": []}
            raise Refusal(422, "user_already_exists", "User already registered")
        self.users[email] = self.user(email, fields.get("data") or {})
        self.passwords[email] = password
        if self.confirms_addresses:
            return {**self.users[email], "identities": [{"provider": "email"}]}
        return self.session(email)

    def sign_in(self, fields: dict[str, Any]) -> dict[str, Any]:
        email = str(fields["email"]).lower()
        if email not in self.users or self.passwords[email] != fields["password"]:
            raise Refusal(400, "invalid_credentials", "Invalid login credentials")
        if self.confirms_addresses:
            raise Refusal(400, "email_not_confirmed", "Email not confirmed")
        return self.session(email)

    def get_user(self, token: str) -> dict[str, Any]:
        try:
            claims = jwt.decode(token, self.secret, ["HS256"], audience="authenticated")
        except jwt.PyJWTError as error:
            raise Refusal(403, "bad_jwt", f"invalid JWT: {error}") from error
        return self.users[claims["email"]]

    def user(self, email: str, data: dict[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        return {
            "id": str(uuid4()), "aud": "authenticated", "role": "authenticated", "email": email,
            "app_metadata": {"provider": "email", "providers": ["email"]}, "user_metadata": data,
            "created_at": now, "last_sign_in_at": now,
            "email_confirmed_at": None if self.confirms_addresses else now,
        }  # fmt: skip

    def session(self, email: str) -> dict[str, Any]:
        expires_at = datetime.now(UTC) + timedelta(hours=1)
        claims = {"sub": self.users[email]["id"], "email": email, "role": "authenticated",
                  "aud": "authenticated", "exp": expires_at}  # fmt: skip
        return {
            "access_token": jwt.encode(claims, self.secret, "HS256"), "token_type": "bearer",
            "expires_in": 3600, "expires_at": int(expires_at.timestamp()),
            "refresh_token": uuid4().hex, "user": self.users[email],
        }  # fmt: skip


@contextmanager
def gotrue() -> Iterator[GoTrue]:
    """The service on a port of its own, until the end of the block."""
    service = GoTrue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(service))
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def handler_of(service: GoTrue) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.answer("POST")

        def do_GET(self) -> None:
            self.answer("GET")

        def answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if service.raw is not None:
                self.send(*service.raw)
                return
            try:
                self.send(200, json.dumps(self.route(method, body)).encode())
            except Refusal as refusal:
                self.send(refusal.status, json.dumps(refusal.body).encode())

        def route(self, method: str, body: bytes) -> dict[str, Any]:
            if self.headers.get("apikey") != service.anon_key:
                raise Refusal(401, "no_authorization", "No API key found in request")
            if method == "POST" and self.headers.get("Content-Type") != "application/json":
                raise Refusal(400, "bad_json", "Could not read body")
            match method, self.path:
                case "POST", "/auth/v1/signup":
                    return service.sign_up(json.loads(body))
                case "POST", "/auth/v1/token?grant_type=password":
                    return service.sign_in(json.loads(body))
                case "GET", "/auth/v1/user":
                    bearer = self.headers.get("Authorization", "").removeprefix("Bearer ")
                    return service.get_user(bearer)
            raise Refusal(404, "not_found", f"no route {method} {self.path}")

        def send(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler
