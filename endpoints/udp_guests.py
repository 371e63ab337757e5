"""Who was let in over UDP: known by its cookie for as long as that is good, by its id to a little beyond its end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Protocol

from endpoints.datagram import Sealed
from endpoints.udp_connection import UDPConnection
from endpoints.udp_path import Address, Ended

MAX_USED: Final = 65_536
"""Cookies that are remembered because somebody was let in with them. Nobody more is, until the oldest is not good."""

MAX_ENDED: Final = 65_536
"""Connections that have ended and are remembered; of more, the latest."""

REMEMBERED: Final = 10.0
"""Seconds for which they are."""


class Party(Protocol):
    """The node's end of a connection: alive, or what is left of one."""

    def arrived(self, sealed: Sealed, address: Address, /) -> None: ...
    def greeted_again(self) -> None: ...
    def settled(self) -> None: ...


class Guest:
    """One that was let in.

    Attributes:
        party: its connection, or what is left of that.
    """

    __slots__ = ("party",)

    def __init__(self, party: Party) -> None:
        self.party = party


class Guests:
    """Those of one server.

    Args:
        lifetime: seconds after which no cookie is good any more with which somebody was let in.
    """

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._used: OrderedDict[bytes, tuple[float, Guest]] = OrderedDict()
        self._here: dict[bytes, tuple[UDPConnection, Guest]] = {}
        self._ended: OrderedDict[bytes, tuple[float, Ended]] = OrderedDict()

    @property
    def connections(self) -> Iterable[UDPConnection]:
        """Those that have not ended."""
        return (link for link, _ in self._here.values())

    def wait(self, now: float) -> float:
        """Seconds until one more can be let in; 0: it can be now."""
        while self._used and next(iter(self._used.values()))[0] <= now:
            _, (_, guest) = self._used.popitem(last=False)
            guest.party.settled()
        if len(self._used) < MAX_USED:
            return 0.0
        return next(iter(self._used.values()))[0] - now

    def enter(self, cookie: bytes, identity: bytes, link: UDPConnection, now: float) -> None:
        """It was let in with this cookie, and has this id."""
        guest = Guest(link)
        self._used[cookie] = now + self._lifetime, guest
        self._here[identity] = link, guest

    def leave(self, identity: bytes, now: float) -> None:
        """Its connection has ended."""
        link, guest = self._here.pop(identity)
        guest.party = ended = link.remains()
        while self._ended and (len(self._ended) >= MAX_ENDED or next(iter(self._ended.values()))[0] <= now):
            self._ended.popitem(last=False)
        self._ended[identity] = now + REMEMBERED, ended

    def by_cookie(self, cookie: bytes) -> Party | None:
        """Whom this cookie has let in; None: nobody yet."""
        used = self._used.get(cookie)
        return None if used is None else used[1].party

    def by_id(self, identity: bytes) -> Party | None:
        """Whose id this is; None: nobody's, as far as is known."""
        here = self._here.get(identity)
        if here is not None:
            return here[0]
        ended = self._ended.get(identity)
        return None if ended is None else ended[1]
