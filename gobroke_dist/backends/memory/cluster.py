"""What the processes of an in-memory cluster share."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from gobroke_dist.bus import Receiver, Reply
from gobroke_dist.clock import Clock, SystemClock
from gobroke_dist.registry import Member

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Lease:
    """A member, and until when it lives by the cluster's clock."""

    member: Member
    end: float


@dataclass(slots=True)
class Registered:
    """A client as it is stored: whose it is, and the JSON that makes copies of it."""

    node: str
    session: str
    registration: bytes
    last_message: int


class MemoryCluster:
    """Stands in for Redis: give one to the registry and the bus of every node.

    Args:
        clock: decides leases; a test's own clock makes them run out without waiting.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.leases: dict[str, Lease] = {}
        self.clients: dict[str, Registered] = {}
        self.receivers: dict[str, Receiver] = {}

    def living(self, node: str) -> bool:
        """Whether a member's lease is running."""
        lease = self.leases.get(node)
        return lease is not None and lease.end > self.clock.monotonic()

    def send(self, node: str, data: bytes, reply: Reply | None) -> bool:
        """Hand a datum to a node in the next turn of the event loop. Returns whether the node listens."""
        listens = node in self.receivers
        if listens:
            asyncio.get_running_loop().call_soon(self._deliver, node, data, reply)
        return listens

    def _deliver(self, node: str, data: bytes, reply: Reply | None) -> None:
        receive = self.receivers.get(node)
        if receive is None:
            return
        try:
            receive(data, reply)
        except Exception:
            log.exception("the receiver of node %s raised", node)

    def forget(self, node: str) -> None:
        """Remove a member with its clients."""
        self.leases.pop(node, None)
        for uuid in [uuid for uuid, client in self.clients.items() if client.node == node]:
            del self.clients[uuid]
