"""Networks by name, and addresses in one spelling. Light: the configuration reads them, too."""

from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
# What one customer of a provider is given at least: single addresses in it are free to change.
IPV6_BITS = 64


def parse_networks(text: str) -> tuple[Network, ...]:
    """Comma-separated networks or addresses. Raises ValueError that names the bad one."""
    networks = []
    for each in filter(None, (part.strip() for part in text.split(","))):
        try:
            network = ip_network(each)
        except ValueError as error:
            raise ValueError(f"{each!r} is no network ({error}); for example 10.0.0.0/8") from None
        if network.prefixlen == 0:
            raise ValueError(f"{each} is everybody; name the proxies alone")
        networks.append(network)
    return tuple(networks)


def parse_address(text: str) -> Address | None:
    """None for anything else; a port is dropped, IPv4 in the dress of IPv6 is IPv4."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: Address | None, networks: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in networks)


def group(address: Address) -> str:
    """What is counted as one place: an IPv4 address, an IPv6 network."""
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((address, IPV6_BITS), strict=False))
