"""Port: where the effects of a routed message go.

The router decides and orders; an outlet carries out. On an edge that is at once; in a WORKER it is later,
in the step that acknowledges the message being handled (contract W7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gobroke_dist.message import Message


@dataclass(frozen=True, slots=True)
class Task:
    """A message for one WORKER logic.

    Attributes:
        logic: its name, which is also its queue's and its actor's.
        key: the ordering key; None for no order.
        message: what it is to process.
    """

    logic: str
    key: str | None
    message: Message


class Outlet(Protocol):
    """Takes effects in order. Made for one message, used once."""

    @property
    def deferred(self) -> bool:
        """Whether effects go out with a later step, so that nobody hears from it of clients that are nowhere."""
        ...

    def send(self, data: bytes, uuids: Sequence[str], groups: Sequence[str] = ()) -> None:
        """Deliver to these clients and to the members of these groups, wherever they are."""
        ...

    def publish(self, node: str, data: bytes) -> None:
        """Bring something to one node."""
        ...

    def broadcast(self, data: bytes) -> None:
        """Deliver to the clients of every node."""
        ...

    def enqueue(self, task: Task) -> None:
        """Hand a message to a WORKER logic."""
        ...

    def dispatch(self, logic: str, message: Message) -> None:
        """Run a DISPATCHED logic in this process."""
        ...

    async def settled(self) -> tuple[str, ...]:
        """Wait until all that was taken is accepted, or will be by a step that can't be left out.

        Returns the clients that are nowhere, as far as that is known by then.

        Raises:
            Unavailable: something was not accepted.
        """
        ...
