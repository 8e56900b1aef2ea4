"""Ways out for mail: what each takes and promises, and which one EMAIL_URL names."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from pipelines.email.compose import Letter

SMTP_PORT = 587
SMTPS_PORT = 465
RESEND_PER_S = 2.0
PER_S_MAX = 10_000.0
LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
OPTIONS = {
    "smtp": {"starttls", "rate_per_s", "dkim_selector", "dkim_key", "dkim_domain"},
    "smtps": {"rate_per_s", "dkim_selector", "dkim_key", "dkim_domain"},
    "resend": {"rate_per_s", "tls"},
    "file": {"rate_per_s", "dkim_selector", "dkim_key", "dkim_domain"},
}


@dataclass(frozen=True, slots=True)
class Parcel:
    """A mail as a transport packed it. `key` is the same for every attempt of one sending."""

    message_id: str
    key: str
    sender: str
    recipient: str
    body: bytes
    needs_utf8: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """Mails a second that all processes together hand to a provider, `burst` of them at once."""

    lane: str
    per_s: float
    burst: int = 1


class Transport(Protocol):
    """One provider. `replay_s`: for so long a second copy of a parcel is no second mail."""

    @property
    def provider(self) -> str: ...

    @property
    def replay_s(self) -> float: ...

    @property
    def rate(self) -> Rate | None: ...

    def pack(self, letter: Letter) -> bytes:
        """The bytes of the parcel. Raises Permanent for what cannot be sent."""

    def send(self, parcel: Parcel, hand_over: Callable[[], None]) -> str | None:
        """Deliver, calling `hand_over` right before the provider may have it; its id for it.

        Raises MailRefused, MailDelayed or MailUncertain.
        """


@dataclass(frozen=True, slots=True)
class Dkim:
    """Whose signature goes on the mails; the domain is the sender's where it is None."""

    selector: str
    key_path: Path
    domain: str | None = None


@dataclass(frozen=True, slots=True)
class SmtpRoute:
    """`starttls`: required, off, or None for "where it is offered"."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    implicit_tls: bool = False
    starttls: str | None = None
    per_s: float | None = None
    dkim: Dkim | None = None

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class ResendRoute:
    """`base_url` has no slash at its end."""

    base_url: str
    api_key: str = field(repr=False)
    per_s: float = RESEND_PER_S


@dataclass(frozen=True, slots=True)
class FileRoute:
    folder: Path
    per_s: float | None = None
    dkim: Dkim | None = None


Route = SmtpRoute | ResendRoute | FileRoute


def read_route(url: str | None, *, home: Path) -> Route:
    """Read EMAIL_URL; None is the folder `mail` of `home`. Raises ValueError that says why."""
    if url is None:
        return FileRoute(home / "mail")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        # What the library says may be half of a password.
        raise ValueError(
            "its host and port cannot be read; a / or # in a password is written %2F or %23"
        ) from None
    options = read_options(parts.scheme, parts.query)
    if parts.scheme == "file":
        return read_file_route(parts, options)
    if not host:
        raise ValueError("it names no host")
    if parts.scheme == "resend":
        return read_resend_route(parts, options)
    return read_smtp_route(parts, options)


def read_file_route(parts: SplitResult, options: dict[str, str]) -> FileRoute:
    if parts.hostname not in (None, "localhost") or not parts.path.strip("/"):
        raise ValueError("a folder is written with three slashes, as in file:///var/mail")
    folder = Path(unquote(parts.path))
    return FileRoute(folder, read_rate(options.get("rate_per_s")), read_dkim(options))


def read_resend_route(parts: SplitResult, options: dict[str, str]) -> ResendRoute:
    # The key has no password beside it, but a colon in it would look like one.
    key, _, place = parts.netloc.rpartition("@")
    if not key:
        raise ValueError("it holds no key, as in resend://re_123@api.resend.com")
    tls = options.get("tls", "off" if is_loopback(parts.hostname or "") else "on")
    base_url = f"{'http' if tls == 'off' else 'https'}://{place}{parts.path.rstrip('/')}"
    per_s = read_rate(options.get("rate_per_s")) or RESEND_PER_S
    return ResendRoute(base_url, unquote(key), per_s)


def read_smtp_route(parts: SplitResult, options: dict[str, str]) -> SmtpRoute:
    is_tls = parts.scheme == "smtps"
    return SmtpRoute(
        parts.hostname or "",
        parts.port or (SMTPS_PORT if is_tls else SMTP_PORT),
        unquote(parts.username) if parts.username else None,
        unquote(parts.password or "") if parts.username else None,
        implicit_tls=is_tls,
        starttls=read_starttls(options.get("starttls")),
        per_s=read_rate(options.get("rate_per_s")),
        dkim=read_dkim(options),
    )


def read_options(scheme: str, query: str) -> dict[str, str]:
    if scheme not in OPTIONS:
        raise ValueError(f"it must begin with {', '.join(f'{s}://' for s in OPTIONS)}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(options.keys() - OPTIONS[scheme]):
        known = ", ".join(sorted(OPTIONS[scheme]))
        raise ValueError(f"it has no option {', '.join(unknown)}; {scheme}:// has {known}")
    if options.get("tls", "on") not in ("on", "off"):
        raise ValueError("its option tls is on or off")
    return options


def read_rate(value: str | None) -> float | None:
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,6})?", value) or not 0 < float(value) <= PER_S_MAX:
        raise ValueError(f"its rate_per_s must be above 0 and at most {PER_S_MAX:g}, such as 2")
    return float(value)


def read_starttls(value: str | None) -> str | None:
    if value not in (None, "required", "off"):
        raise ValueError("its option starttls is required or off")
    return value


def read_dkim(options: dict[str, str]) -> Dkim | None:
    selector, key_path = options.get("dkim_selector"), options.get("dkim_key")
    if not selector and not key_path:
        return None
    if not selector or not key_path:
        raise ValueError("dkim_selector and dkim_key (the path of a PEM file) belong together")
    if not Path(key_path).is_file():
        raise ValueError(f"there is no DKIM key {key_path}")
    return Dkim(selector, Path(key_path), options.get("dkim_domain"))


def is_loopback(host: str) -> bool:
    return LOOPBACK.fullmatch(host) is not None
