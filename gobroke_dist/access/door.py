"""How many connections come in: at once, from one address, and per second (contract E3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from gobroke_dist.access import addresses
from gobroke_dist.access.bucket import TokenBucket
from gobroke_dist.errors import TooManyConnections
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings

SPARE: Final = 256
"""Sockets that a full node still accepts, besides a tenth of its connections: health checks, and who is to be told."""

_RETRY_SECONDS: Final = 5.0


class Door:
    """One node's. An endpoint makes a ``Visit`` for each socket that it accepts, lets it ``enter`` when it is known
    what it wants, and ends it when the socket is closed.

    Args:
        settings: ``max_connections``, ``max_connections_per_address``, ``max_connects``, ``connect_burst``, and
            ``trusted_proxies`` are used.
        metrics: who is not let in is counted in its drops.
        monotonic: seconds that never go back.
    """

    def __init__(self, settings: Settings, metrics: Metrics, monotonic: Callable[[], float]) -> None:
        self.inside = 0
        self.by_site: Counter[str] = Counter()
        self._settings = settings
        self._metrics = metrics
        self._monotonic = monotonic
        self._proxies = addresses.networks(settings.trusted_proxies)
        self._bucket = TokenBucket(settings.max_connects, settings.connect_burst, monotonic())
        self._sockets = 0
        self._waiting: Counter[str] = Counter()

    def visit(self, peer: str) -> Visit | None:
        """A socket was accepted from this address. None: abort it, there are too many that have not said a word."""
        most, each = self._settings.max_connections, self._settings.max_connections_per_address
        at = addresses.site(peer)
        if most and self._sockets >= most + most // 10 + SPARE:
            self._metrics.drop("node_full")
            return None
        if each and self._waiting[at] >= each and not addresses.is_in(peer, self._proxies):
            self._metrics.drop("address_full")
            return None
        self._sockets += 1
        self._waiting[at] += 1
        return Visit(self, peer, at)

    def seat(self, address: str) -> Seat:
        """A client that has no socket of its own comes in from this address. Raises ``TooManyConnections``."""
        at = addresses.site(address)
        self.check(at)
        self._come_in(at)
        return Seat(self, at)

    def origin(self, peer: str, forwarded: Iterable[str]) -> str:
        """The client's address, from the socket's, and the ``X-Forwarded-For`` of a trusted proxy."""
        return addresses.origin(peer, forwarded, self._proxies)

    def check(self, at: str) -> None:
        """Whether one more may come in from this site. Raises ``TooManyConnections``."""
        most, each = self._settings.max_connections, self._settings.max_connections_per_address
        now = self._monotonic()
        if most and self.inside >= most:
            raise self._refusal("node_full", f"this node has its {most} connections", _RETRY_SECONDS)
        if each and self.by_site[at] >= each:
            raise self._refusal("address_full", f"your address has its {each} connections", _RETRY_SECONDS)
        if not self._bucket.take(now):
            raise self._refusal("connecting_too_fast", "too many connect at this moment", self._bucket.wait(now))

    def left(self, site: str, *, inside: str | None) -> None:
        """A socket from this site is closed, that of a client of another one maybe, or (None) of nobody yet."""
        self._sockets -= 1
        if inside is None:
            _less(self._waiting, site)
        else:
            self.stood_up(inside)

    def stood_up(self, at: str) -> None:
        """A client from this site is in no longer."""
        self.inside -= 1
        _less(self.by_site, at)

    def entered(self, site: str, at: str) -> None:
        """What waited, from this site, is a connection now, of a client at another one maybe."""
        _less(self._waiting, site)
        self._come_in(at)

    def too_late(self) -> None:
        """A socket has not said in time what it wants."""
        self._metrics.drop("handshake_timeout")

    def drop(self, reason: str) -> None:
        """What an endpoint lets no further that is no connection, such as a datagram; counted with its reason."""
        self._metrics.drop(reason)

    def _refusal(self, limit: str, text: str, after: float) -> TooManyConnections:
        self._metrics.drop(limit)
        return TooManyConnections(limit, text, retry_after=after)

    def _come_in(self, at: str) -> None:
        self.inside += 1
        self.by_site[at] += 1


class Visit:
    """One socket, from its acceptance to its end.

    Args:
        door: where it came in.
        peer: the address of its other end.
        site: what counts as that one address.
    """

    __slots__ = ("_at", "_door", "_gone", "_site", "peer")

    def __init__(self, door: Door, peer: str, site: str) -> None:
        self.peer = peer
        self._door = door
        self._site = site
        self._at: str | None = None
        self._gone = False

    def enter(self, address: str) -> None:
        """It wants to be a client's connection; the client's address is this. Raises ``TooManyConnections``."""
        at = addresses.site(address)
        if self._at is None:
            self._door.check(at)
            self._door.entered(self._site, at)
            self._at = at

    def leave(self) -> None:
        """The socket is closed. Safe to call twice."""
        if not self._gone:
            self._gone = True
            self._door.left(self._site, inside=self._at)


class Seat:
    """A client without a socket of its own, from when it is let in.

    Args:
        door: where it came in.
        at: what counts as its address.
    """

    __slots__ = ("_at", "_door", "_gone")

    def __init__(self, door: Door, at: str) -> None:
        self._door = door
        self._at = at
        self._gone = False

    def leave(self) -> None:
        """It is in no longer. Safe to call twice."""
        if not self._gone:
            self._gone = True
            self._door.stood_up(self._at)


def _less(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if counts[name] <= 0:
        del counts[name]
