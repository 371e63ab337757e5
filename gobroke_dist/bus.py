"""Port: bytes from process to process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

Reply = Callable[[bytes], Awaitable[None]]
"""Answers a request, once. Answering late, or a requester that is gone, is no error."""

Missed = Sequence[tuple[int, bytes]]
"""Data with their numbers, in order."""


class Arrival(NamedTuple):
    """A datum.

    Attributes:
        data: it.
        number: its place in the order of all; 0: it has none.
        complete: those of its clients that are not here have it from elsewhere.
        reply: takes the answer, if somebody waits for one.
    """

    data: bytes
    number: int = 0
    complete: bool = False
    reply: Reply | None = None


Receiver = Callable[[Arrival], None]
"""Gets each arriving datum, in order, on the event loop. Must not block. Should not raise: that loses the datum."""


class Bus(Protocol):
    """Delivery is at most once, and in the order of the calls from one bus object to one node.

    A node that is cut off for a time gets what it missed, in order, when it is back: what was published is kept for a
    time, up to a number of data.

    ``send``, ``publish`` and ``broadcast`` take their place in that order when they are called, not when they are
    awaited; what one turn of the event loop produces goes out in one trip.
    """

    @property
    def listening(self) -> bool:
        """Whether what is sent to this node arrives, as far as is known; what is sent meanwhile comes later."""
        ...

    async def open(self, node: str, receive: Receiver, lost: Callable[[str], None] | None = None) -> None:
        """Start to receive what is addressed to ``node``, and broadcasts. Returns when both would arrive.

        ``lost`` is called with the new epoch when numbers begin anew: what carries the bus has lost what it had.
        """
        ...

    def send(self, data: bytes, to: Sequence[str], groups: Sequence[str] = ()) -> Awaitable[tuple[str, ...]]:
        """Send to the nodes where these clients and the members of these groups are, or are waited for: one datum for
        each node (contracts R4, C6).

        Where they are is found in the step that sends, so a client that moves gets all in the order sent.

        Returns those of the clients that are nowhere.

        Raises (when awaited):
            RedisUnavailable: it is not known to have been sent.
            QueueFull: the outbound buffer is full; it was not sent.
        """
        ...

    def publish(self, node: str, data: bytes) -> Awaitable[bool]:
        """Send to one node. The awaitable: whether it listens; if not, it gets it when it does. Raises as ``send``."""
        ...

    def broadcast(self, data: bytes) -> Awaitable[int]:
        """Send to every open node, this one included. The awaitable: how many listen. Raises as ``send``."""
        ...

    async def replay(self, node: str | None, since: int, until: int) -> Missed | None:
        """What was sent to a node, or (None) to all, after one number and up to another.

        None: not all of it is kept any more. Raises ``RedisUnavailable``.
        """
        ...

    async def request(self, node: str, data: bytes, *, timeout: float) -> bytes:
        """Send to one node and wait for its answer, ``timeout`` seconds at most. Works without ``open``.

        Raises:
            TimeoutError: no answer in time; or at once, where nobody listens.
            RedisUnavailable: it could not be sent, or its answer not be read.
            QueueFull: as ``send``.
        """
        ...

    async def close(self) -> None:
        """Stop receiving; what was published before is flushed first."""
        ...
