"""Who is in which room, and who says what: the same for each run, whatever the machine."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from uuid import uuid4

_STEPS = (0, 3, 7, 12)  # odd and even, so that a room has members on either of two edges


@dataclass(frozen=True, slots=True)
class Plan:
    """A run.

    Attributes:
        clients: how many connect; the n-th to the n-th URL, round and round.
        rooms: how many ordering keys there are; at least 13.
        messages: how many are sent, by all clients together.
        rate: how many are sent in a second, by all clients together.
        name: stands in the rooms' names, so that a run has rooms of its own on a deployment that lives on.
    """

    clients: int = 50
    rooms: int = 20
    messages: int = 5000
    rate: float = 300.0
    name: str = field(default_factory=lambda: uuid4().hex[:8])

    def who(self, client: int) -> str:
        """A client's name."""
        return f"client-{client:02}"

    def rooms_of(self, client: int) -> list[str]:
        """The rooms that a client is in, and speaks in by turns."""
        return [f"check-{self.name}-{(client + step) % self.rooms:02}" for step in _STEPS]

    def share_of(self, client: int) -> int:
        """How many messages a client sends."""
        return self.messages // self.clients + (client < self.messages % self.clients)

    @property
    def members(self) -> dict[str, frozenset[str]]:
        """Who is in each room, by name."""
        members: dict[str, set[str]] = defaultdict(set)
        for client in range(self.clients):
            for room in self.rooms_of(client):
                members[room].add(self.who(client))
        return {room: frozenset(names) for room, names in members.items()}
