"""Where a client of the one socket is, and what can be said to it there when its connection has ended."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from endpoints.datagram import Kind, Seal, Sealed
from endpoints.link import Link

LAST_ANSWERS: Final = 4
"""How often one is told that its connection has ended who does not seem to know: each time it is heard again."""

Address = tuple[Any, ...]


class Path:
    """Where a client is now.

    Args:
        socket: of the server; all clients share it.
        address: of the client.
    """

    __slots__ = ("_closed", "_socket", "address", "link")

    def __init__(self, socket: asyncio.DatagramTransport, address: Address) -> None:
        self.address = address
        self.link: Link | None = None
        self._socket = socket
        self._closed = False

    def write(self, data: bytes) -> None:
        """Send a datagram."""
        self.send(data, self.address)

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram there instead."""
        if not self._closed and not self._socket.is_closing():
            self._socket.sendto(data, address)

    def again(self) -> Path:
        """The way to the same place, open."""
        return Path(self._socket, self.address)

    def is_closing(self) -> bool:
        return self._closed

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        self._closed = True
        link, self.link = self.link, None
        if link is not None:
            link.lost()


class Ended:
    """What is kept of a connection for a while after its end: enough to say once more that it has ended, and why.

    Args:
        path: where its client was.
        seal: its keys.
        latest: the number of the newest datagram of its client.
        last_words: the node's ``CLOSE``.
    """

    __slots__ = ("_answers", "_last_words", "_latest", "_path", "_seal")

    def __init__(self, path: Path, seal: Seal, latest: int, last_words: bytes) -> None:
        self._path = path
        self._seal = seal
        self._latest = latest
        self._last_words = last_words
        self._answers = LAST_ANSWERS

    def arrived(self, sealed: Sealed, _: Address) -> None:
        """Its client has not heard the goodbye, or has and says so: that looks the same, so it ends after a few."""
        if sealed.number > self._latest and self._answers and self._seal.opens(sealed):
            self._latest = sealed.number
            self._answers -= 1
            self._path.write(self._last_words)

    def greeted_again(self) -> None:
        """Its client has not seen that it was let in, and sent away."""
        self._path.write(self._seal.pack(Kind.ACCEPT, number=0))
        self._path.write(self._last_words)

    def settled(self) -> None:
        """Nothing was kept for the client's greeting."""
