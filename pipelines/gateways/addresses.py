"""Which addresses outgoing requests may reach. Pure: nothing here resolves or connects."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import NoReturn

from yarl import URL

from pipelines.gateways.http_failures import HttpPermanent

URL_CHARS_MAX = 8_192
URLS_KEPT_MAX = 1_000
HOST_CHARS_MAX = 253
PORT_MAX = 65_535

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_HTTP_URL = re.compile(r"(?i)(?P<scheme>https?)://(?P<authority>[^/?#]*)")
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:\s]+)(?::(?P<port>[0-9]{0,5}))?")
_HOST_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?")
# A last label like these makes resolvers read the whole name as an IPv4 number: 127.1, 0x7f.0.0.1.
_NUMERIC_HOST = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")

# Python's `is_global` is not used: it differs between versions and lets tunnels into private
# networks through. Source: IANA's special-purpose registries, and the clouds' metadata addresses.
FORBIDDEN_V4 = tuple(
    (IPv4Network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this machine itself"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "a provider's internal network"),
        ("127.0.0.0/8", "this machine itself"),
        ("168.63.129.16/32", "a cloud's internal service"),
        ("169.254.0.0/16", "a link-local or cloud metadata network"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "a reserved network"),
        ("192.0.2.0/24", "a network for documentation"),
        ("192.31.196.0/24", "a reserved network"),
        ("192.52.193.0/24", "a reserved network"),
        ("192.88.99.0/24", "an IPv6 tunnel"),
        ("192.168.0.0/16", "a private network"),
        ("192.175.48.0/24", "a reserved network"),
        ("198.18.0.0/15", "a network for benchmarks"),
        ("198.51.100.0/24", "a network for documentation"),
        ("203.0.113.0/24", "a network for documentation"),
        ("224.0.0.0/4", "a multicast network"),
        ("240.0.0.0/4", "a reserved network"),
    )
)
FORBIDDEN_V6 = tuple(
    (IPv6Network(network), reason)
    for network, reason in (
        ("::/127", "this machine itself"),
        ("::/96", "an outdated IPv4 form"),
        ("::ffff:0:0:0/96", "an IPv4 translation network"),
        ("64:ff9b::/96", "an IPv4 translation network"),
        ("64:ff9b:1::/48", "an IPv4 translation network"),
        ("2001::/23", "a tunnel or reserved network"),
        ("2001:db8::/32", "a network for documentation"),
        ("2002::/16", "an IPv4 tunnel"),
        ("2620:4f:8000::/48", "a reserved network"),
        ("3ffe::/16", "a reserved network"),
        ("3fff::/20", "a network for documentation"),
        ("fc00::/7", "a private network"),
        ("fe80::/10", "a link-local network"),
        ("fec0::/10", "a private network"),
        ("ff00::/8", "a multicast network"),
    )
)
# All of IPv6 that is handed out to the public so far.
PUBLIC_V6 = IPv6Network("2000::/3")
# An interface id of this form carries an IPv4 address through a site's own tunnel (ISATAP).
_ISATAP_MASK, _ISATAP = 0xFCFF_FFFF, 0x0000_5EFE


@dataclass(frozen=True, slots=True)
class Egress:
    """What may be reached although it is not public; a port of None means every port."""

    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[tuple[IPNetwork, int | None], ...] = ()

    @classmethod
    def parse(cls, value: str) -> "Egress":
        """Read EGRESS_ALLOW: comma-separated host, host:port or CIDR.

        Raises ValueError that names the entry which is none of them.
        """
        hosts: set[tuple[str, int | None]] = set()
        networks: list[tuple[IPNetwork, int | None]] = []
        for entry in filter(None, (part.strip() for part in value.split(","))):
            target, port = _parse_entry(entry)
            if isinstance(target, str):
                hosts.add((target, port))
            else:
                networks.append((target, port))
        return cls(frozenset(hosts), tuple(networks))

    def allows(self, ip: IPAddress, *, host: str, port: int) -> bool:
        name = _plain_name(host)
        if (name, None) in self.hosts or (name, port) in self.hosts:
            return True
        return any(
            ip.version == network.version and ip in network and only_port in (None, port)
            for network, only_port in self.networks
        )


@lru_cache(URLS_KEPT_MAX)
def check_url(url: str) -> URL:
    """Parse an address that a user gave; without its fragment.

    Raises HttpPermanent where it is not plain http or https to a host that has one reading only.
    """
    text = url.strip(" \t\r\n\f")
    shown = text if len(text) <= 200 else f"{text[:200]}..."
    if len(text) > URL_CHARS_MAX:
        _refuse(shown, f"it has {len(text)} characters, limit {URL_CHARS_MAX}")
    if _CONTROL.search(text):
        _refuse(ascii(shown)[1:-1], "it contains control characters")
    if "\\" in text:
        _refuse(shown, "it contains a backslash")
    if (start := _HTTP_URL.match(text)) is None:
        _refuse(shown, "only http:// and https:// addresses with a host are read")
    _check_authority(shown, start["authority"])
    return _parse(shown, text)


def is_forbidden(ip: IPAddress, *, host: str, port: int, egress: Egress) -> str | None:
    """Say what network `ip` lies in when it must not be reached; None when it may be.

    `host` is the name or literal the address was asked for under.
    """
    plain = _unmap(ip)
    if egress.allows(plain, host=host, port=port):
        return None
    if isinstance(plain, IPv4Address):
        return next((reason for network, reason in FORBIDDEN_V4 if plain in network), None)
    if reason := next((reason for network, reason in FORBIDDEN_V6 if plain in network), None):
        return reason
    if plain not in PUBLIC_V6:
        return "a reserved network"
    if (int(plain) >> 32) & _ISATAP_MASK == _ISATAP:
        return "an IPv4 tunnel"
    return None


def _check_authority(shown: str, authority: str) -> None:
    if "@" in authority:
        _refuse(f"of {authority.rpartition('@')[2]}", "it contains a user name or password")
    if "%" in authority:
        _refuse(shown, "its host contains a percent sign")
    if not authority:
        _refuse(shown, "it names no host")
    if (match := _AUTHORITY.fullmatch(authority)) is None:
        _refuse(shown, "its host or port cannot be read")
    if match["port"] and not 1 <= int(match["port"]) <= PORT_MAX:
        _refuse(shown, f"its port is not between 1 and {PORT_MAX}")


def _parse(shown: str, text: str) -> URL:
    try:
        url = URL(text).with_fragment(None)
    except ValueError as error:
        raise _refusal(shown, "its host cannot be read") from error
    # yarl has turned circled digits, full-width letters and the like into what they stand for.
    host = url.raw_host or ""
    if ":" not in host:
        _check_host_name(shown, host)
    return url


def _check_host_name(shown: str, host: str) -> None:
    if _NUMERIC_HOST.fullmatch(host):
        try:
            IPv4Address(host)
        except ValueError as error:
            raise _refusal(shown, "its host is not a plainly written IPv4 address") from error
    elif len(host) > HOST_CHARS_MAX or not _HOST_NAME.fullmatch(host):
        _refuse(shown, "its host is not a valid name")


def _refuse(shown: str, why: str) -> NoReturn:
    raise _refusal(shown, why)


def _refusal(shown: str, why: str) -> HttpPermanent:
    return HttpPermanent(f"the address {shown} is not accepted: {why}", failure_class="blocked")


def _unmap(ip: IPAddress) -> IPAddress:
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return ip


def _parse_entry(entry: str) -> tuple[str | IPNetwork, int | None]:
    try:
        if "/" in entry:
            return ip_network(entry), None
        if entry.count(":") > 1 and not entry.startswith("["):
            return ip_network(ip_address(entry)), None
        return _parse_host_entry(entry)
    except ValueError as error:
        raise ValueError(
            f"EGRESS_ALLOW entry {entry!r} is not a host, host:port or network"
            f" like intranet.example:8080 or 10.1.0.0/16 ({error})"
        ) from error


def _parse_host_entry(entry: str) -> tuple[str | IPNetwork, int | None]:
    match = _AUTHORITY.fullmatch(entry)
    if match is None or match["port"] == "":
        raise ValueError("its host or port cannot be read")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 1 <= port <= PORT_MAX:
        raise ValueError(f"its port is not between 1 and {PORT_MAX}")
    host = match["host"]
    if host.startswith("["):
        return ip_network(IPv6Address(host[1:-1])), port
    if _NUMERIC_HOST.fullmatch(host.lower()):
        return ip_network(IPv4Address(host)), port
    name = _plain_name(URL.build(scheme="http", host=host).raw_host or "")
    if not _HOST_NAME.fullmatch(name):
        raise ValueError("its host is not a valid name")
    return name, port


def _plain_name(host: str) -> str:
    return host.lower().rstrip(".")
