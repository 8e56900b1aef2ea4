"""Mail over SMTP: the last byte is held back until we have noted that the server may have it."""

import re
import smtplib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pipelines.email.compose import Letter, compose
from pipelines.email.dkim_signature import Signer
from pipelines.gateways.mail import Parcel, Rate, SmtpRoute
from pipelines.gateways.mail_failures import (
    MailDelayed,
    MailRefused,
    MailUncertain,
    network_failure,
)
from pipelines.gateways.mail_smtp_line import Line, refusal

IDLE_S = 10.0
MAILS_MAX = 100
SEND_S = 60.0
SEND_BYTES_PER_S = 50_000
# Servers look for viruses before they answer: giving up on them leaves a mail `uncertain`.
ANSWER_S = 120.0

_LEADING_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class Patience:
    """For all up to the end of a mail of no size, and for the answer to that end."""

    send_s: float = SEND_S
    answer_s: float = ANSWER_S


class SmtpTransport:
    """Sends through one server, on a few connections that are kept for a while."""

    provider = "smtp"
    # No server tells a second copy from a second mail.
    replay_s = 0.0

    def __init__(
        self, route: SmtpRoute, signer: Signer | None = None, patience: Patience | None = None
    ) -> None:
        self._route = route
        self._signer = signer
        self._patience = patience or Patience()
        self._idle = IdleLines()
        self.rate = None if route.per_s is None else Rate(f"mail:smtp:{route.host}", route.per_s)

    def pack(self, letter: Letter) -> bytes:
        raw = compose(letter, now=datetime.now(UTC))
        return raw if self._signer is None else self._signer.sign(raw, letter)

    def send(self, parcel: Parcel, hand_over: Callable[[], None]) -> str | None:
        line = self._begin(parcel)
        try:
            self._write(line, parcel)
            hand_over()
            # Storing the mark took a while. One that has gone by now never saw the dot.
            self._guarded(lambda: listen(line))
            self._finish(line)
        except BaseException:
            # Without its last line the server throws the mail away.
            line.close()
            raise
        self._idle.keep(line)
        return parcel.message_id

    def check(self) -> None:
        """Connect, encrypt and sign in as for a mail, and leave. Raises MailDelayed."""
        line = Line(self._route, deadline_s=self._patience.send_s)
        try:
            self._guarded(line.open)
        finally:
            line.close_politely()

    def close(self) -> None:
        self._idle.close()

    def _begin(self, parcel: Parcel) -> Line:
        """A connection whose server has taken the sender."""
        deadline_s = self._patience.send_s + len(parcel.body) / SEND_BYTES_PER_S
        if (kept := self._idle.take()) is not None:
            kept.within(deadline_s)
            try:
                listen(kept)
                self._name_sender(kept, parcel)
            except (MailDelayed, MailRefused, OSError, smtplib.SMTPException):
                # It may have had enough of this connection only.
                kept.close()
            else:
                return kept
        line = Line(self._route, deadline_s=deadline_s)
        try:
            self._guarded(line.open)
            self._guarded(lambda: self._name_sender(line, parcel))
        except BaseException:
            line.close()
            raise
        return line

    def _name_sender(self, line: Line, parcel: Parcel) -> None:
        options = ""
        if line.has_extn("size"):
            check_size(len(parcel.body), line.esmtp_features["size"], self._route.host)
            options += f" SIZE={len(parcel.body)}"
        line.command_encoding = "ascii"
        if parcel.needs_utf8:
            if not line.has_extn("smtputf8"):
                raise MailRefused(
                    f"the address {parcel.recipient} has letters beyond ASCII before the @, "
                    f"which the mail server {self._route.host} does not take (no SMTPUTF8)"
                )
            line.command_encoding = "utf-8"
            options += " SMTPUTF8" + (" BODY=8BITMIME" if line.has_extn("8bitmime") else "")
        code, reply = line.docmd("MAIL", f"FROM:<{parcel.sender}>{options}")
        if code != 250:
            raise refusal("sender", code, reply)

    def _write(self, line: Line, parcel: Parcel) -> None:
        """Everything but the dot that ends the mail."""

        def write() -> None:
            code, reply = line.docmd("RCPT", f"TO:<{parcel.recipient}>")
            if code not in (250, 251):
                raise refusal("recipient", code, reply)
            code, reply = line.docmd("DATA")
            if code != 354:
                raise refusal("content", code, reply)
            line.send(with_dots(parcel.body))
            # One that gave up meanwhile has nothing: better known now than after the mark.
            listen(line)

        self._guarded(write)

    def _finish(self, line: Line) -> None:
        """The dot, and the answer to it. Whatever breaks here, the server may have the mail."""
        line.within(self._patience.answer_s)
        try:
            line.send(b".\r\n")
            code, reply = line.getreply()
        except (OSError, smtplib.SMTPException) as error:
            raise self._unsure("gave no answer") from error
        if code // 100 in (4, 5):
            raise refusal("content", code, reply)
        if code // 100 != 2:
            raise self._unsure("gave an answer that is none")

    def _unsure(self, what: str) -> MailUncertain:
        return MailUncertain(
            f"the mail server {self._route.host} {what} after the whole mail was handed over: "
            "it may have arrived or not"
        )

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        # The library's errors are OSErrors too: first what only it can say.
        except smtplib.SMTPException as error:
            raise MailDelayed(
                f"the mail server {self._route.host} closed the connection"
            ) from error
        except OSError as error:
            raise network_failure(error, self._route.host) from error


def listen(line: Line) -> None:
    """Raises what a server says that was not asked: it has gone, or does not keep to turns."""
    if (said := line.hear()) is not None:
        raise refusal("content", *said)


def check_size(size: int, told: str, host: str) -> None:
    limit = int(told) if told.isascii() and told.isdigit() else 0
    if 0 < limit < size:
        raise MailRefused(
            f"the mail is {size:,} bytes, the limit of the mail server {host} is {limit:,}"
        )


def with_dots(body: bytes) -> bytes:
    """The mail as DATA sends it: a line that begins with a dot gets another one."""
    quoted = _LEADING_DOT.sub(b"..", body)
    return quoted if quoted.endswith(b"\r\n") else quoted + b"\r\n"


class IdleLines:
    """Open connections that wait for the next mail, IDLE_S at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[tuple[float, Line]] = []
        self._timer: threading.Timer | None = None

    def take(self) -> Line | None:
        with self._lock:
            return self._kept.pop()[1] if self._kept else None

    def keep(self, line: Line) -> None:
        line.mails += 1
        if line.mails >= MAILS_MAX:
            line.close_politely()
            return
        with self._lock:
            self._kept.append((time.monotonic(), line))
            if self._timer is None:
                self._look_later()

    def close(self) -> None:
        with self._lock:
            kept, self._kept = self._kept, []
        for _, line in kept:
            line.close_politely()

    def _look_later(self) -> None:
        self._timer = threading.Timer(IDLE_S, self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        until = time.monotonic() - IDLE_S
        with self._lock:
            old = [line for since, line in self._kept if since <= until]
            self._kept = [(since, line) for since, line in self._kept if since > until]
            self._timer = None
            if self._kept:
                self._look_later()
        for line in old:
            line.close_politely()
