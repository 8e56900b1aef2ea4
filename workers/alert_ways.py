"""How operators are reached: mail and webhook, straight from here.

No job, no worker and no Redis is needed: these may be what is broken. What sends is imported when
it is needed, for dispatcher and scheduler load no pipeline at their start.
"""

import json
import re
from contextlib import closing
from typing import Protocol

from workers.alert_messages import Message
from workers.config import SENDER, Config

# For all of a message: a server that is silent must not keep the watchdog from looking.
SEND_S = 10.0
ANSWER_S = 20.0
ANSWER_BYTES_MAX = 10_000
REASON_CHARS_MAX = 300
ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)


class NotSent(Exception):
    """The message did not arrive, as far as is known; the text says why."""


class Way(Protocol):
    """`name` is that of worker.alert_notices, `target` what a person recognizes."""

    @property
    def name(self) -> str: ...

    @property
    def target(self) -> str: ...

    def send(self, message: Message) -> None:
        """Raises NotSent."""


def open_ways(config: Config) -> list[Way]:
    """Those that are configured."""
    ways: list[Way] = []
    if config.alert_email is not None:
        ways.append(Email(config))
    if config.alert_webhook_url is not None:
        ways.append(Webhook(config.alert_webhook_url))
    return ways


class Email:
    name = "email"

    def __init__(self, config: Config) -> None:
        assert config.alert_email is not None
        self.target = config.alert_email
        self._config = config

    def send(self, message: Message) -> None:
        """A mail whose end was not confirmed is sent again, under the same Message-ID."""
        from pipelines.errors import JobError

        try:
            self._hand_over(message)
        except (JobError, OSError, ValueError) as error:
            raise NotSent(reason(error)) from error

    def _hand_over(self, message: Message) -> None:
        from pipelines.email.address import parse_address
        from pipelines.email.compose import Letter, make_message_id
        from pipelines.gateways.mail import Parcel, SmtpRoute, read_route
        from pipelines.gateways.mail_smtp import Patience, SmtpTransport
        from pipelines.gateways.mail_transports import open_transport, signer

        sender = parse_address(self._config.email_from or SENDER)
        letter = Letter(
            message_id=make_message_id(message.id, 1, sender.domain),
            sender=sender,
            recipient=parse_address(self.target),
            subject=message.subject,
            html=message.html,
            text=message.text,
            headers={"Auto-Submitted": "auto-generated"},
        )
        route = read_route(self._config.email_url, home=self._config.home)
        if isinstance(route, SmtpRoute):
            patience = Patience(send_s=SEND_S, answer_s=ANSWER_S)
            smtp = SmtpTransport(route, signer(route.dkim), patience)
            send, pack, close = smtp.send, smtp.pack, smtp.close
        else:
            transport = open_transport(route)
            send, pack, close = transport.send, transport.pack, nothing
        parcel = Parcel(
            message_id=letter.message_id,
            key=str(message.id),
            sender=sender.spec,
            recipient=letter.recipient.spec,
            body=pack(letter),
            needs_utf8=letter.needs_utf8,
        )
        try:
            send(parcel, nothing)
        finally:
            close()


class Webhook:
    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url
        # The rest of the address is a secret with most receivers.
        scheme, _, rest = url.partition("://")
        self.target = f"{scheme}://{re.split('[/?#]', rest)[0].rpartition('@')[2]}"

    def send(self, message: Message) -> None:
        """Any 2xx is a yes. The operators gave the address: it may be a private one."""
        from pipelines.errors import JobError
        from pipelines.gateways.http import Request
        from pipelines.gateways.mail_transports import own_client

        request = Request(
            self._url,
            method="POST",
            headers={"Content-Type": "application/json", "Idempotency-Key": str(message.id)},
            body=json.dumps(message.payload).encode(),
            deadline_s=SEND_S,
            body_bytes_max=ANSWER_BYTES_MAX,
            body_optional=True,
        )
        try:
            with closing(own_client(self._url)) as client:
                answer = client.request(request)
        except (JobError, OSError, ValueError) as error:
            raise NotSent(ADDRESS.sub(self.target, reason(error))) from error
        if not 200 <= answer.status < 300:
            raise NotSent(f"{self.target} answered {answer.status}")


def nothing() -> None:
    return None


def reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__)[:REASON_CHARS_MAX]
