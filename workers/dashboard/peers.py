"""Who a request comes from: its direct peer, or what a proxy that we trust says of it.

Nothing else reads headers that a proxy sets: whoever reaches the port could send them.
"""

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request

from workers import networks
from workers.config import Config
from workers.dashboard.forms import Refused
from workers.networks import Address

FORWARDED_MAX = 100
NAME_CHARS_MAX = 200


class Peers:
    def __init__(self, config: Config) -> None:
        self._trusted = config.dashboard_trusted_proxies
        self._header = config.dashboard_trusted_header
        self._public = origin_of(config.public_url) if config.public_url else None

    def address(self, request: HTTPConnection) -> str:
        """The place that wrong passwords are counted for."""
        found = self._find_client(request)
        if found is None:
            return request.client.host[:100] if request.client else "unknown"
        return networks.group(found)

    def is_trusted(self, request: HTTPConnection) -> bool:
        """Whether a proxy of ours handed this on."""
        return networks.is_within(peer_of(request), self._trusted)

    def is_secure(self, request: HTTPConnection) -> bool:
        """Whether the browser came by https, as far as one can know."""
        if self._public is not None and self._public.startswith("https://"):
            return True
        if request.url.scheme == "https":
            return True
        said = values(request, "x-forwarded-proto") if self.is_trusted(request) else []
        return bool(said) and said[-1].lower() == "https"

    def vouched_name(self, request: HTTPConnection) -> str | None:
        """Whom a proxy of ours says it has let in; None without one, or with two.

        Whoever hands headers on may join two by a comma: then one of them is a stranger's.
        """
        if self._header is None or not self.is_trusted(request):
            return None
        given = request.headers.getlist(self._header)
        name = decode(given[0]).strip() if len(given) == 1 else ""
        return name if is_name(name) and "," not in name else None

    def check_origin(self, request: Request) -> None:
        """Raises Refused for a form that a page of another site sent.

        Browsers say where a form comes from. What says nothing of it is no browser of today: there,
        the form's own token has to do.
        """
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        if site is not None and site not in ("same-origin", "none"):
            raise Refused("This form comes from another site.", status=403)
        if site is None and origin is not None and not self._is_ours(request, origin):
            raise Refused("This form comes from another site.", status=403)

    def _is_ours(self, request: Request, origin: str) -> bool:
        host = request.headers.get("host", "").lower()
        ours = {f"http://{host}", f"https://{host}", self._public}
        return origin.lower() in ours

    def _find_client(self, request: HTTPConnection) -> Address | None:
        """The right-most address that no proxy of ours has: what is left of it, anybody wrote."""
        found = peer_of(request)
        said = values(request, "x-forwarded-for")[-FORWARDED_MAX:]
        while said and networks.is_within(found, self._trusted):
            address = networks.parse_address(said.pop())
            if address is None:
                break
            found = address
        return found


def peer_of(request: HTTPConnection) -> Address | None:
    return networks.parse_address(request.client.host) if request.client else None


def values(request: HTTPConnection, header: str) -> list[str]:
    """What stands in all headers of that name, between commas."""
    text = ",".join(request.headers.getlist(header))
    return [part.strip() for part in text.split(",") if part.strip()]


def decode(value: str) -> str:
    """Headers arrive as Latin-1; names in them are mostly UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except ValueError:
        return value


def is_name(name: str) -> bool:
    """Whether somebody may be called so: printable, no space around it, not too long."""
    return 0 < len(name) <= NAME_CHARS_MAX and name.isprintable() and name == name.strip()


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
