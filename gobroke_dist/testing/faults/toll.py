"""What a proxy does to the bytes that pass it, and how often it has."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["requests", "replies"]
"""From the client to the server, and back."""

BOTH: tuple[Direction, Direction] = ("requests", "replies")


@dataclass(slots=True)
class Counts:
    """What was done to whom.

    Attributes:
        connections: that were taken, and passed on.
        refused: that were taken and reset at once.
        resets: that were reset later.
        cuts: that were ended in place of passing something on.
        delayed: chunks that were late on purpose.
        swallowed: bytes that were taken and never passed on.
        passed: bytes that arrived.
    """

    connections: int = 0
    refused: int = 0
    resets: int = 0
    cuts: int = 0
    delayed: int = 0
    swallowed: int = 0
    passed: int = 0


@dataclass(slots=True)
class Toll:
    """The faults in force. May be changed at any time, from any thread.

    Attributes:
        latency: seconds by which everything is late.
        jitter: up to so many seconds more, at random.
        cut_requests, cut_replies: the chance that a connection ends in place of passing a chunk on, half of the time
            after one half of it.
        cut_after: how many bytes a connection passes in one direction before it ends; None: any number.
        silent: directions in which nothing is passed on, while connections stay open.
        refusing: new connections are reset at once.
    """

    latency: float = 0.0
    jitter: float = 0.0
    cut_requests: float = 0.0
    cut_replies: float = 0.0
    cut_after: int | None = None
    silent: frozenset[Direction] = frozenset()
    refusing: bool = False
    counts: Counts = field(default_factory=Counts)

    def heal(self) -> None:
        """No more faults; the counts stay."""
        self.latency = self.jitter = self.cut_requests = self.cut_replies = 0.0
        self.cut_after, self.silent, self.refusing = None, frozenset(), False

    def cuts(self, direction: Direction, dice: random.Random) -> bool:
        """Whether the connection ends now."""
        chance = self.cut_requests if direction == "requests" else self.cut_replies
        return bool(chance) and dice.random() < chance

    def delay(self, dice: random.Random) -> float:
        """Seconds by which the next chunk is late."""
        return self.latency + self.jitter * dice.random() if self.latency or self.jitter else 0.0

    def room(self, passed: int) -> int | None:
        """How many more bytes a connection passes in this direction; None: any number."""
        return None if self.cut_after is None else max(0, self.cut_after - passed)
