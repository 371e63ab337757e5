"""Which fault comes when, and whom it hits: a pure function of the seed, so that a run can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

KINDS = {
    "drop": "every client's connection dropped",
    "kill": "SIGKILL of an edge",
    "freeze": "an edge frozen (SIGSTOP)",
    "cut both": "an edge cut off from Redis, both ways",
    "cut requests": "an edge cut off from Redis: what it sends is swallowed",
    "cut replies": "an edge cut off from Redis: what it is sent is swallowed",
    "redis freeze": "Redis frozen",
    "redis kill": "Redis killed, and started from its append-only file",
    "redis empty": "Redis killed, and started empty",
    "failover": "the primary killed, and another chosen by Sentinels",
}
"""Every kind of fault, for people."""

OF_EDGES = ("kill", "freeze", "cut both", "cut requests", "cut replies")
CUTS = ("cut both", "cut requests", "cut replies")

SETTLING = 6.0
"""About how long it takes until all is well again after a fault, for planning."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fault.

    Attributes:
        what: one of ``KINDS``.
        seconds: how long it lasts.
        edge: the place of the edge that it hits, if it hits one.
    """

    what: str
    seconds: float
    edge: int = 0

    @property
    def text(self) -> str:
        """For people."""
        where = f" {self.edge}" if self.what in OF_EDGES else ""
        length = f" ({self.seconds:g} s)" if self.seconds else ""
        return f"{self.what}{where}{length}"


@dataclass(frozen=True, slots=True)
class Pace:
    """What happens in one round, each once.

    Attributes:
        faults: kinds with seconds.
        drops: how often every client's connection is dropped, and for how long, one after the other.
        between: how often that is done as well between others.
    """

    faults: tuple[tuple[str, float], ...]
    drops: tuple[int, float] = (3, 2.0)
    between: int = 2


FULL = Pace(
    (
        *(("kill", 3.0), ("kill", 3.0), ("freeze", 11.0), ("cut both", 12.0), ("cut requests", 9.0)),
        *(("cut replies", 12.0), ("redis freeze", 10.0), ("redis freeze", 30.0), ("redis kill", 1.0)),
        ("redis empty", 1.0),
    )
)
QUICK = Pace(
    (
        ("kill", 2.0),
        ("freeze", 9.0),
        ("cut both", 8.0),
        ("redis freeze", 10.0),
        ("redis kill", 0.5),
        ("redis empty", 0.5),
    ),
    drops=(2, 2.0),
    between=0,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of a run, in order.

    Attributes:
        steps: the faults.
    """

    steps: tuple[Step, ...] = field(default=())

    @property
    def seconds(self) -> float:
        """About how long it takes."""
        return sum(step.seconds + SETTLING for step in self.steps)


def plan(seed: int, seconds: float, pace: Pace, *, edges: int) -> Plan:
    """Whole rounds, one at least, each in an order of its own, as long as they fit into these seconds.

    Drops come first: by then every edge has carried more than its share, and what it holds can be compared with later.
    """
    dice = random.Random(seed)
    steps: list[Step] = []
    while True:
        made = _round(dice, pace, edges)
        if steps and Plan((*steps, *made)).seconds > seconds:
            return Plan(tuple(steps))
        steps += made


def _round(dice: random.Random, pace: Pace, edges: int) -> list[Step]:
    faults = list(pace.faults)
    dice.shuffle(faults)
    steps = [Step(what, seconds, dice.randrange(edges) if what in OF_EDGES else 0) for what, seconds in faults]
    count, length = pace.drops
    for _ in range(pace.between):
        steps.insert(dice.randrange(1, len(steps)), Step("drop", length))
    return [*(Step("drop", length) for _ in range(count)), *steps]
