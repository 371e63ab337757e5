"""What the processes of an in-memory cluster share."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from gobroke_dist.backends.memory.changes import Changes
from gobroke_dist.bus import Arrival, Receiver
from gobroke_dist.client import Client
from gobroke_dist.clock import Clock, SystemClock
from gobroke_dist.registry import Home, Member

LOG_LENGTH = 10_000
"""How many data are kept."""

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


@dataclass(slots=True)
class Kept:
    """What a client that may come back shows, where it was, and with which sessions."""

    secret: bytes
    homes: list[Home]
    sessions: list[str]


@dataclass(slots=True)
class Away:
    """A client that may come back, until some instant of the cluster's clock."""

    registered: Registered
    until: float


class Sent(NamedTuple):
    """A datum that was sent to a node, or (None) to all."""

    number: int
    node: str | None
    data: bytes


class MemoryCluster:
    """Stands in for Redis: give one to the registry and the bus of every node.

    Args:
        clock: decides leases; a test's own clock makes them run out without waiting.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.leases: dict[str, Lease] = {}
        self.clients: dict[str, Registered] = {}
        self.groups: dict[str, set[str]] = {}  # with those that are away
        self.changes = Changes(self.clock)
        self.receivers: dict[str, Receiver] = {}
        self.kept: dict[str, Kept] = {}
        self.away: dict[str, Away] = {}
        self.log: deque[Sent] = deque(maxlen=LOG_LENGTH)
        self.number = 0
        self.revoked: dict[str, tuple[float, float]] = {}

    def living(self, node: str) -> bool:
        """Whether a member's lease is running."""
        lease = self.leases.get(node)
        return lease is not None and lease.end > self.clock.monotonic()

    def send(self, node: str, data: bytes, *, complete: bool = False) -> bool:
        """Keep a datum for a node, and hand it over. Returns whether the node listens."""
        return self.hand(node, Arrival(data, self._keep(node, data), complete))

    def send_to_all(self, data: bytes) -> int:
        """The same for all nodes. Returns how many listen."""
        arrival = Arrival(data, self._keep(None, data))
        return sum(self.hand(node, arrival) for node in tuple(self.receivers))

    def hand(self, node: str, arrival: Arrival) -> bool:
        """Hand a datum to a node in the next turn of the event loop. Returns whether the node listens."""
        listens = node in self.receivers
        if listens:
            asyncio.get_running_loop().call_soon(self._deliver, node, arrival)
        return listens

    def _keep(self, node: str | None, data: bytes) -> int:
        self.number += 1
        self.log.append(Sent(self.number, node, data))
        return self.number

    def _deliver(self, node: str, arrival: Arrival) -> None:
        receive = self.receivers.get(node)
        if receive is None:
            return
        try:
            receive(arrival)
        except Exception:
            log.exception("the receiver of node %s raised", node)

    def forget(self, node: str, window: float) -> None:
        """Remove a member with its clients; those that may come back are away for ``window`` seconds."""
        self.leases.pop(node, None)
        for uuid in [uuid for uuid, client in self.clients.items() if client.node == node]:
            self.suspend(uuid, window)

    def knows(self, client: Client) -> bool:
        """Whether this very session is the one registered."""
        known = self.clients.get(client.uuid)
        return known is not None and (known.node, known.session) == (client.node, client.session)

    def suspend(self, uuid: str, window: float) -> None:
        """A client has lost its connection."""
        if uuid not in self.kept:
            self.forget_client(uuid)
            return
        self.away[uuid] = Away(self.clients.pop(uuid), self.clock.monotonic() + window)
        for group in self.groups_of(uuid):
            self.changes.gone(group, uuid)

    def forget_client(self, uuid: str) -> None:
        """A client is gone for good, also one that was away; it is in no group any more."""
        was_there = self.clients.pop(uuid, None) is not None
        self.away.pop(uuid, None)
        self.kept.pop(uuid, None)
        for group in self.groups_of(uuid):
            self._remove(uuid, group)
            if was_there:
                self.changes.gone(group, uuid)

    def forget_late(self) -> None:
        """Those that did not come back in time are gone."""
        for uuid in [uuid for uuid, away in self.away.items() if away.until <= self.clock.monotonic()]:
            self.forget_client(uuid)

    def is_back(self, uuid: str) -> None:
        """A client that was away is connected again."""
        if self.away.pop(uuid, None) is not None:
            for group in self.groups_of(uuid):
                self.changes.joined(group, uuid)

    def groups_of(self, uuid: str) -> list[str]:
        """The groups of a client, also of one that is away."""
        return [group for group, uuids in self.groups.items() if uuid in uuids]

    def join_group(self, uuid: str, group: str) -> bool:
        """Put a client into a group. Returns whether it was not in it."""
        uuids = self.groups.setdefault(group, set())
        if uuid in uuids:
            return False
        uuids.add(uuid)
        if uuid in self.clients:
            self.changes.joined(group, uuid)
        return True

    def leave_group(self, uuid: str, group: str) -> bool:
        """Take a client out of a group. Returns whether it was in it."""
        if uuid not in self.groups.get(group, ()):
            return False
        self._remove(uuid, group)
        self.changes.left(group, uuid, was_there=uuid in self.clients)
        return True

    def _remove(self, uuid: str, group: str) -> None:
        self.groups[group].remove(uuid)
        if not self.groups[group]:
            del self.groups[group]

    def waited_for(self, uuid: str) -> Registered | None:
        """A client that is away and may still come back."""
        away = self.away.get(uuid)
        return away.registered if away is not None and away.until > self.clock.monotonic() else None

    def find(self, uuid: str, *, away: bool) -> Registered | None:
        """A client that is connected; if it may come back, with ``away`` also one that is waited for."""
        known = self.clients.get(uuid)
        if known is not None:
            return known if self.living(known.node) or (away and uuid in self.kept) else None
        return self.waited_for(uuid) if away else None

    def home_of(self, uuid: str) -> str | None:
        """The node that a client is on, or is waited for. Its lease may have run out, as when Redis was away."""
        known = self.clients.get(uuid) or self.waited_for(uuid)
        return known.node if known else None
