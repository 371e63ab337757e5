"""Where a client comes from, and what counts as one address."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

_ONE_SITE: Final = 64  # bits of an IPv6 address that one customer is given, and may use all of


def networks(text: str) -> tuple[Network, ...]:
    """Networks and addresses, separated by commas. Raises ``ValueError``."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


def origin(peer: str, forwarded: Iterable[str], trusted: tuple[Network, ...]) -> str:
    """The address of a client: the peer's own, or, if that is a proxy that is trusted, what it says.

    Args:
        peer: the address of the socket's other end.
        forwarded: the values of all ``X-Forwarded-For`` headers, in order. Each proxy appends where a request came
            from, so the last one that no trusted proxy is, counts; what stands before it, anybody could write.
        trusted: the proxies.
    """
    found = peer
    hops = [hop.strip() for value in forwarded for hop in value.split(",")]
    while hops and is_in(found, trusted):
        hop = hops.pop()
        if _parsed(hop) is None:
            break
        found = hop
    return found


def is_in(address: str, trusted: tuple[Network, ...]) -> bool:
    """Whether an address is in one of these networks."""
    parsed = _parsed(address) if trusted else None
    return parsed is not None and any(parsed in network for network in trusted)


def site(address: str) -> str:
    """What counts as one address: one of IPv4, a /64 of IPv6."""
    parsed = _parsed(address)
    if parsed is None:
        return address
    return str(parsed) if parsed.version == 4 else str(ip_network((int(parsed), _ONE_SITE), strict=False))


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
