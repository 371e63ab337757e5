"""Port: bytes from process to process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

Reply = Callable[[bytes], Awaitable[None]]
"""Answers a request, once. Answering late, or a requester that is gone, is no error."""

Receiver = Callable[[bytes, Reply | None, int], None]
"""Gets each arriving datum, in order, on the event loop, with its number in the order of all; a request has 0.

Must not block. Should not raise: that loses the datum.
"""

Missed = Sequence[tuple[int, bytes]]
"""Data with their numbers, in order."""


class Forwarded(NamedTuple):
    """A client, the node that it is on by now, and the datum for it."""

    uuid: str
    node: str
    data: bytes


class Bus(Protocol):
    """Delivery is at most once, and in the order of the calls from one bus object to one node.

    A node that is cut off for a time gets what it missed, in order, when it is back: what was published is kept for a
    time, up to a number of data.

    ``publish`` and ``broadcast`` take their place in that order when they are called, not when they are
    awaited; what one turn of the event loop produces goes out in one trip.
    """

    @property
    def listening(self) -> bool:
        """Whether what is sent to this node arrives, as far as is known; what is sent meanwhile comes later."""
        ...

    async def open(self, node: str, receive: Receiver, lost: Callable[[], None] | None = None) -> None:
        """Start to receive what is addressed to ``node``, and broadcasts. Returns when both would arrive.

        ``lost`` is called when numbers begin anew: what carries the bus has lost what it had.
        """
        ...

    def publish(self, node: str, data: bytes) -> Awaitable[bool]:
        """Send to one node. The awaitable: whether it listens at this moment.

        Raises (when awaited):
            RedisUnavailable: it is not known to have been sent.
            QueueFull: the outbound buffer is full; it was not sent.
        """
        ...

    def broadcast(self, data: bytes) -> Awaitable[int]:
        """Send to every open node, this one included. The awaitable: how many listen. Raises as ``publish``."""
        ...

    async def replay(self, node: str | None, since: int, until: int) -> Missed | None:
        """What was sent to a node, or (None) to all, after one number and up to another.

        None: not all of it is kept any more. Raises ``RedisUnavailable``.
        """
        ...

    async def remains(self, node: str) -> Missed:
        """What a node that is gone has in its log and nobody has sent on; some of it, if it is much."""
        ...

    async def forward(self, node: str, number: int, to: Sequence[Forwarded], *, gone: bool = False) -> None:
        """Send on what ``node`` got under a number: once, whoever does it, and not what its client gets by ``replay``.

        Args:
            node: which.
            number: of the datum there.
            to: clients that are elsewhere by now.
            gone: the node is gone. Then only clients that may come back are meant: others have another connection now.
        """
        ...

    async def request(self, node: str, data: bytes, *, timeout: float) -> bytes:
        """Send to one node and wait for its answer, ``timeout`` seconds at most. Works without ``open``.

        Raises:
            TimeoutError: no answer in time; or at once, where nobody listens.
            RedisUnavailable: it could not be sent, or its answer not be read.
            QueueFull: as ``publish``.
        """
        ...

    async def close(self) -> None:
        """Stop receiving; what was published before is flushed first."""
        ...
