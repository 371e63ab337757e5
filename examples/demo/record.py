"""What happened in a run, as it happens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from examples.demo.verdict import Received, Sent


@dataclass(slots=True)
class Record:
    """Everything sent and received; what a receiver got stands in the order in which it got it.

    Attributes:
        members: who has to receive what is said in each room.
        nodes: the edge that each client is connected to.
        disturbed_at: the second, by the event loop's clock, at which the burst and the kill began.
        complaints: error frames, lost connections, and whatever else should not happen.
    """

    members: Mapping[str, frozenset[str]]
    sent: list[Sent] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    nodes: dict[str, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    heard: set[str] = field(default_factory=set)
    expected: int = 0
    disturbed_at: float = math.inf

    def add_sent(self, message: Sent) -> None:
        """A client sends a message."""
        self.sent.append(message)
        self.expected += len(self.members[message.room])

    def add_received(self, one: Received) -> None:
        """A client got a message."""
        self.received.append(one)
        self.heard.add(one.uuid)

    @property
    def backlog(self) -> int:
        """Messages that were sent and that nobody has received yet."""
        return len(self.sent) - len(self.heard)

    def busiest_worker(self) -> str:
        """The worker process that handled most of the last hundred deliveries; empty: none did anything."""
        names = [one.worker for one in self.received[-100:]]
        return max(set(names), key=names.count, default="")
