"""The transport of a route."""

from urllib.parse import urlsplit

from pipelines.email.dkim_signature import Signer
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client
from pipelines.gateways.mail import Dkim, FileRoute, ResendRoute, Route, SmtpRoute, Transport
from pipelines.gateways.mail_file import FileTransport
from pipelines.gateways.mail_resend import ResendTransport
from pipelines.gateways.mail_smtp import SmtpTransport


def open_transport(route: Route) -> Transport:
    match route:
        case FileRoute():
            return FileTransport(route, signer(route.dkim))
        case ResendRoute():
            return ResendTransport(route, own_client(route.base_url))
        case SmtpRoute():
            return SmtpTransport(route, signer(route.dkim))


def own_client(base_url: str) -> Client:
    """A client that may reach this address wherever it is: the operator gave it."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    return Client(Egress.parse(f"[{host}]" if ":" in host else host))


def signer(dkim: Dkim | None) -> Signer | None:
    return None if dkim is None else Signer(dkim.selector, dkim.key_path, dkim.domain)
