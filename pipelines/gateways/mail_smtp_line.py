"""One SMTP connection with a deadline over all that is said on it, however slowly it is said."""

import base64
import re
import smtplib
import socket
import ssl
import time
from typing import Any

from pipelines.gateways.mail import SmtpRoute
from pipelines.gateways.mail_failures import MailDelayed, MailFailure, Stage, smtp_failure

LINE_BYTES_MAX = 4_096
REPLY_LINES_MAX = 200
FAREWELL_S = 1.0
READY, GO_ON = 220, 334
SIGNED_IN = (235, 503)

_REPLY = re.compile(rb"(\d{3})([ -]?)(.*)", re.DOTALL)


class Line(smtplib.SMTP):
    """Speaks to one server. Every wait ends at the deadline that `within` set last.

    A reply is read by us: the library waits anew for each byte of it.
    """

    def __init__(self, route: SmtpRoute, *, deadline_s: float) -> None:
        super().__init__(timeout=deadline_s, local_hostname="localhost")
        self.route = route
        self.mails = 0
        self._unread = b""
        self.within(deadline_s)

    def within(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def left_s(self) -> float:
        left_s = self._until - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the deadline of this mail is over")
        return left_s

    def open(self) -> None:
        """Connect, greet, encrypt, sign in. Raises MailDelayed, or OSError of the connection."""
        code, reply = self.connect(self.route.host, self.route.port)
        self._expect("connect", code, reply, READY)
        self.local_hostname = self._own_name()
        self._greet()
        if not self.route.implicit_tls:
            self._encrypt()
        if self.route.user is not None:
            self._sign_in(self.route.user, self.route.password or "")

    def close_politely(self) -> None:
        try:
            self.within(FAREWELL_S)
            self.docmd("QUIT")
        except (OSError, smtplib.SMTPException):
            pass
        finally:
            self.close()

    def send(self, s: Any) -> None:
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        self.sock.settimeout(self.left_s())
        self.sock.sendall(s.encode(self.command_encoding) if isinstance(s, str) else s)

    def getreply(self) -> tuple[int, bytes]:
        """As the library's: -1 for what is no reply."""
        texts: list[bytes] = []
        while len(texts) < REPLY_LINES_MAX:
            found = _REPLY.fullmatch(self._read_line())
            if found is None:
                return -1, b"it sent a line that is no reply"
            texts.append(found[3].strip())
            if found[2] != b"-":
                return int(found[1]), b"\n".join(texts)
        return -1, b"its reply does not end"

    def hear(self) -> tuple[int, bytes] | None:
        """What the server said unasked, None where it is silent. Raises where it has gone."""
        if self.sock is None:
            raise smtplib.SMTPServerDisconnected("not connected")
        if self._unread:
            return self.getreply()
        self.sock.settimeout(0.0)
        try:
            arrived = self.sock.recv(LINE_BYTES_MAX)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        if not arrived:
            raise smtplib.SMTPServerDisconnected("the server closed the connection")
        self._unread += arrived
        return self.getreply()

    def _read_line(self) -> bytes:
        while b"\n" not in self._unread and len(self._unread) < LINE_BYTES_MAX:
            if self.sock is None:
                raise smtplib.SMTPServerDisconnected("not connected")
            self.sock.settimeout(self.left_s())
            if not (arrived := self.sock.recv(LINE_BYTES_MAX)):
                self.close()
                raise smtplib.SMTPServerDisconnected("the server closed the connection")
            self._unread += arrived
        line, _, self._unread = self._unread.partition(b"\n")
        return line.rstrip(b"\r")

    # The library's hook. Its own handshake would not be told of the deadline.
    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), self.left_s())
        return self._wrapped(plain) if self.route.implicit_tls else plain

    def _wrapped(self, plain: socket.socket) -> ssl.SSLSocket:
        plain.settimeout(self.left_s())
        return tls_context(self.route).wrap_socket(plain, server_hostname=self.route.host)

    def _own_name(self) -> str:
        """A name that can be looked up, or our address as the server sees it (RFC 5321 4.1.3)."""
        if "." in (name := socket.gethostname()) and name.isascii():
            return name
        assert self.sock is not None
        address = str(self.sock.getsockname()[0])
        return f"[IPv6:{address}]" if ":" in address else f"[{address}]"

    def _greet(self) -> None:
        code, reply = self.ehlo()
        if 500 <= code < 600:
            code, reply = self.helo()
        self._expect("greet", code, reply, 250)

    def _encrypt(self) -> None:
        route = self.route
        # What anybody on the way could read is no secret any more.
        is_needed = route.starttls == "required" or (
            route.starttls is None and route.user is not None and not route.is_loopback
        )
        if route.starttls == "off" or not (is_needed or self.has_extn("starttls")):
            return
        if not self.has_extn("starttls"):
            raise MailDelayed(
                f"the mail server {route.host} offers no encryption (STARTTLS), which is required",
                by_operator=True,
            )
        code, reply = self.docmd("STARTTLS")
        if code != READY and not is_needed:
            return
        self._expect("tls", code, reply, READY)
        assert self.sock is not None
        # What came before the encryption began may be from anybody.
        self._unread = b""
        self.sock = self._wrapped(self.sock)
        self.ehlo_resp = None
        self.esmtp_features = {}
        self._greet()

    def _sign_in(self, user: str, password: str) -> None:
        offered = self.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            code, reply = self.docmd("AUTH", "PLAIN " + coded(f"\0{user}\0{password}"))
        elif "LOGIN" in offered:
            code, reply = self.docmd("AUTH", "LOGIN " + coded(user))
            if code == GO_ON:
                code, reply = self.docmd(coded(password))
        else:
            raise MailDelayed(
                f"the mail server {self.route.host} offers no way to sign in that we know "
                f"(PLAIN or LOGIN), but {' '.join(offered) or 'none'}",
                by_operator=True,
            )
        self._expect("sign in", code, reply, *SIGNED_IN)

    def _expect(self, stage: Stage, code: int, reply: bytes, *wanted: int) -> None:
        if code not in wanted:
            raise refusal(stage, code, reply)


def refusal(stage: Stage, code: int, reply: bytes) -> MailFailure:
    return smtp_failure(stage, code, reply.decode("utf-8", "replace"))


def tls_context(route: SmtpRoute) -> ssl.SSLContext:
    """Certificates are checked; only a server on this machine may have one of its own making."""
    context = ssl.create_default_context()
    if route.is_loopback and route.starttls != "required" and not route.implicit_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
