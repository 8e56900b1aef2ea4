"""The transport of a route."""

from tempfile import TemporaryFile
from urllib.parse import urlsplit

from pipelines.email.dkim_signature import Signer
from pipelines.gateways.addresses import Egress
from pipelines.gateways.http import Client
from pipelines.gateways.mail import Dkim, FileRoute, ResendRoute, Route, SmtpRoute, Transport
from pipelines.gateways.mail_file import FileTransport
from pipelines.gateways.mail_resend import ResendTransport
from pipelines.gateways.mail_smtp import Patience, SmtpTransport

CHECK_S = 10.0


def open_transport(route: Route) -> Transport:
    match route:
        case FileRoute():
            return FileTransport(route, signer(route.dkim))
        case ResendRoute():
            return ResendTransport(route, own_client(route.base_url))
        case SmtpRoute():
            return SmtpTransport(route, signer(route.dkim))


def check_route(route: Route) -> str:
    """Go as far as one can without a mail, and say what was found.

    Raises MailDelayed or OSError where no mail could be sent.
    """
    match route:
        case FileRoute():
            route.folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=route.folder):
                return f"mails are files in {route.folder}"
        case ResendRoute():
            return f"Resend at {route.base_url}; the first mail shows whether the key is good"
        case SmtpRoute():
            SmtpTransport(route, patience=Patience(send_s=CHECK_S)).check()
            signed_in = "" if route.user is None else f", signed in as {route.user}"
            return f"{route.host}:{route.port} answers{signed_in}"


def own_client(base_url: str) -> Client:
    """A client that may reach this address wherever it is: the operator gave it."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    return Client(Egress.parse(f"[{host}]" if ":" in host else host))


def signer(dkim: Dkim | None) -> Signer | None:
    return None if dkim is None else Signer(dkim.selector, dkim.key_path, dkim.domain)
