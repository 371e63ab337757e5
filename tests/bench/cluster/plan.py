"""What is measured of a cluster, with whom, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tests.bench.cluster.field import BARE, OURS, PEERS, SEED
from tests.bench.turns import interleaved

EVERYBODY = (OURS, *PEERS)
SIZES = (2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One measurement.

    Attributes:
        name: on the command line.
        title: for people.
        contestants: in the order in which they take their turns.
        kind: what is measured.
        nodes: how many there are.
        clients: in all; where they send to each other, senders, and as many receivers.
        seconds: for how long it is watched.
        rate: messages sent per second.
        window: messages under way at once, where they are sent as fast as they arrive.
        times: how often within one turn.
        rounds: at most so many; 0: as many as the run has.
        quick: part of a quick run.
    """

    name: str
    title: str
    contestants: tuple[str, ...]
    kind: Literal["latency", "rate", "broadcast", "listing", "idle", "unicast"]
    nodes: int = 2
    clients: int = 100
    seconds: float = 0.0
    rate: int = 500
    window: int = 200
    times: int = 5
    rounds: int = 0
    quick: bool = True


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """A run: the cases of each round, and how many rounds."""

    cases: tuple[Case, ...]
    rounds: int

    def turns(self) -> Iterator[tuple[int, Case, str]]:
        """All measurements, interleaved."""
        return interleaved(self.cases, self.rounds)


_CASES = (
    Case(
        name="cross-latency",
        title="from node to node, 500/s",
        contestants=(BARE, *EVERYBODY),
        kind="latency",
        seconds=10.0,
    ),
    Case(name="cross-rate", title="from node to node, highest rate", contestants=EVERYBODY, kind="rate", seconds=6.0),
    Case(name="broadcast", title="to everybody", contestants=EVERYBODY, kind="broadcast", clients=5000),
    Case(name="listing", title="list of clients", contestants=(OURS, SEED), kind="listing", clients=20_000),
    Case(name="idle-0", title="idle, no clients", contestants=(OURS,), kind="idle", clients=0, seconds=20.0),
    Case(name="idle", title="idle", contestants=(OURS,), kind="idle", clients=10_000, seconds=20.0),
    *(
        Case(
            name=f"unicast-{nodes}",
            title=f"cost with {nodes} nodes",
            contestants=EVERYBODY,
            kind="unicast",
            nodes=nodes,
            seconds=6.0,
            quick=nodes != 4,
        )
        for nodes in SIZES
    ),
)
CLUSTER_NAMES = tuple(case.name for case in _CASES)


def full(only: tuple[str, ...] = ()) -> ClusterPlan:
    """Everything, or the cases named."""
    return ClusterPlan(tuple(case for case in _CASES if not only or case.name in only), 3)


def quick(only: tuple[str, ...] = ()) -> ClusterPlan:
    """One round of what matters most, shorter and with fewer clients."""
    return ClusterPlan(tuple(_shortened(case) for case in _CASES if (case.name in only if only else case.quick)), 1)


def _shortened(case: Case) -> Case:
    if case.kind == "listing":
        return replace(case, times=1)
    if case.kind == "idle":
        return replace(case, clients=min(case.clients, 1000), seconds=5.0)
    if case.kind == "unicast":
        return replace(case, contestants=(OURS,), seconds=3.0)
    chosen = tuple(name for name in case.contestants if name != "channels-list")
    clients = 1000 if case.kind == "broadcast" else case.clients
    return replace(case, contestants=chosen, clients=clients, seconds=min(case.seconds, 2.0), times=3)
