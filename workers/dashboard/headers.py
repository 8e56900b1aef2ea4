"""Headers of every answer, whoever gives it: a page, a shipped file, a redirect, an error."""

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workers.dashboard.peers import Peers
from workers.dashboard.site import SAFE

# What machines and readers of mails are answered has headers of its own.
OTHERS = ("/v1/", "/e/", "/hooks/")
NOSNIFF = {"X-Content-Type-Options": "nosniff"}
HSTS = "max-age=31536000"


class Headers:
    """Adds what an answer does not say itself."""

    def __init__(self, app: ASGIApp, peers: Peers) -> None:
        self.app = app
        self._peers = peers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        wanted = NOSNIFF if scope["path"].startswith(OTHERS) else SAFE
        is_secure = self._peers.is_secure(HTTPConnection(scope))

        async def send_all(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in wanted.items():
                    headers.setdefault(name, value)
                if is_secure:
                    headers.setdefault("Strict-Transport-Security", HSTS)
                    seal_cookies(message)
            await send(message)

        await self.app(scope, receive, send_all)


def seal_cookies(message: Message) -> None:
    """What came over https goes back over https alone."""
    message["headers"] = [
        (name, value + b"; Secure")
        if name.lower() == b"set-cookie" and b"; secure" not in value.lower()
        else (name, value)
        for name, value in message["headers"]
    ]
