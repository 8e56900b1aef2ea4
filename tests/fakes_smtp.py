"""A mail server on aiosmtpd: strict like a real one, and broken at a named step when asked.

A step is where a command arrived and was not yet obeyed; `dot` is the end of a whole mail that is
not stored, `stored` the moment after it is. What a step shall do is taken once, in order.
"""

import asyncio
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

DRIP_S = 0.02
BODY_BYTES_SEEN = 200


@dataclass(frozen=True)
class Say:
    """Answer this instead."""

    reply: str


@dataclass(frozen=True)
class Drop:
    """Close the connection without a word; `reset` as a crashed machine would."""

    reset: bool = False


@dataclass(frozen=True)
class Drip:
    """Begin a reply that never ends, a byte at a time."""


@dataclass(frozen=True)
class Wait:
    """Think for so long, then go on."""

    seconds: float


Manner = Say | Drop | Drip | Wait


@dataclass(frozen=True)
class Mail:
    """What lies in the mailbox, with its envelope."""

    sender: str
    recipient: str
    content: bytes
    options: tuple[str, ...]
    over_tls: bool
    user: str | None
    line: int

    @property
    def message(self) -> EmailMessage:
        found = message_from_bytes(self.content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found


@dataclass
class FakeSmtp:
    """The mailbox, and what each step shall do."""

    users: dict[str, str] = field(default_factory=dict)
    size_max: int | None = 33_554_432
    takes_utf8: bool = True
    greylist_s: float = 0.0
    mailbox: list[Mail] = field(default_factory=list)
    lines: int = 0
    open_lines: int = 0
    port: int = 0
    _plans: dict[str, list[Manner]] = field(default_factory=lambda: defaultdict(list))
    _first_seen: dict[tuple[str, str], float] = field(default_factory=dict)

    def at(self, step: str, *manners: Manner) -> None:
        self._plans[step].extend(manners)

    def take(self, step: str) -> Manner | None:
        plan = self._plans[step]
        return plan.pop(0) if plan else None

    def url(self, userinfo: str = "", *, scheme: str = "smtp", query: str = "") -> str:
        place = f"{userinfo}@" if userinfo else ""
        return f"{scheme}://{place}127.0.0.1:{self.port}{query}"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, auth: Any
    ) -> AuthResult:
        assert isinstance(auth, LoginPassword)
        name, password = auth.login.decode(), auth.password.decode()
        known = self.users.get(name) == password
        # Without a message it says 535 by itself.
        return AuthResult(success=known, handled=False, auth_data=name)

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        first_at = self._first_seen.setdefault((str(envelope.mail_from), address), time.monotonic())
        if self.greylist_s and time.monotonic() - first_at < self.greylist_s:
            return "451 4.7.1 Greylisting in action, please try again in 300 seconds"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: "Server", session: Session, envelope: Envelope
    ) -> str:
        if (said := await server.act("dot")) is not None:
            return said
        assert isinstance(envelope.original_content, bytes)
        self.mailbox.append(
            Mail(
                str(envelope.mail_from),
                envelope.rcpt_tos[0],
                envelope.original_content,
                tuple(envelope.mail_options),
                over_tls=session.ssl is not None,
                user=session.auth_data,
                line=server.number,
            )
        )
        return await server.act("stored") or "250 2.0.0 OK: queued"


class Server(SMTP):
    """One connection."""

    def __init__(self, fake: FakeSmtp, **options: Any) -> None:
        self.fake = fake
        self.number = 0
        super().__init__(fake, **options)

    async def act(self, step: str) -> str | None:
        """Do what the step shall do: the reply to give instead of the usual one, if any."""
        match self.fake.take(step):
            case Say(reply):
                return reply
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Drop(reset):
                assert isinstance(self.transport, asyncio.WriteTransport)
                await self._writer.drain()
                self.transport.abort() if reset else self.transport.close()
                raise asyncio.CancelledError
            case Drip():
                while True:
                    self._writer.write(b"2")
                    await self._writer.drain()
                    await asyncio.sleep(DRIP_S)
        return None

    async def _handle_client(self) -> None:
        if self.number == 0:
            self.fake.lines += 1
            self.fake.open_lines += 1
            self.number = self.fake.lines
            if (said := await self.act("banner")) is not None:
                await self.push(said)
                assert self.transport is not None
                self.transport.close()
                return
        await super()._handle_client()

    def connection_lost(self, error: Exception | None) -> None:
        self.fake.open_lines -= 1
        super().connection_lost(error)

    async def smtp_EHLO(self, hostname: str) -> None:  # noqa: N802
        if not await self._said("ehlo"):
            await super().smtp_EHLO(hostname)

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        if not await self._said("starttls"):
            await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str) -> None:  # noqa: N802
        if not await self._said("auth"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802
        if not await self._said("mail"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802
        if not await self._said("rcpt"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        if await self._said("data"):
            return
        if self.fake._plans["body"]:
            await self.push("354 go on")
            await self._reader.read(BODY_BYTES_SEEN)
            await self.act("body")
        await super().smtp_DATA(arg)

    async def _said(self, step: str) -> bool:
        said = await self.act(step)
        if said is not None:
            await self.push(said)
        return said is not None


@contextmanager
def fake_smtp(
    *,
    starttls: ssl.SSLContext | None = None,
    tls: ssl.SSLContext | None = None,
    **settings: Any,
) -> Iterator[FakeSmtp]:
    """Serve on 127.0.0.1 until the block ends; with `users` only they may send."""
    fake = FakeSmtp(**settings)
    loop = asyncio.new_event_loop()

    def connection() -> Server:
        return Server(
            fake,
            hostname="mail.test",
            ident="ESMTP",
            tls_context=starttls,
            data_size_limit=fake.size_max,
            enable_SMTPUTF8=fake.takes_utf8,
            auth_required=bool(fake.users),
            auth_require_tls=starttls is not None,
            authenticator=fake.authenticate if fake.users else None,
            loop=loop,
        )

    opening = loop.create_server(connection, "127.0.0.1", 0, ssl=tls)
    server = loop.run_until_complete(opening)
    fake.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="fake smtp", daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        server.close()
        end_tasks(loop)


def end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    loop.close()
