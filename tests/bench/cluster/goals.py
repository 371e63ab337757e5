"""The figures of the cluster path to reach."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from tests.bench.cluster.field import BARE, OURS, PEERS
from tests.bench.figures import Book, Subject
from tests.bench.goals import Goal, Measured, ratio, worst

_LATENCY, _RATE = "cross-latency", "cross-rate"


def _by_best_peer(case: str, figure: str, best: Callable[..., float]) -> Measured:
    """Ours by that of the peer which is the best one of its round."""

    def measured(book: Book) -> float | None:
        ours = book.series.get(Subject(case, OURS, figure), {})
        peers = [book.series.get(Subject(case, peer, figure), {}) for peer in PEERS]
        ratios = []
        for number, value in ours.items():
            theirs = [peer[number] for peer in peers if number in peer]
            if theirs:
                ratios.append(value / best(theirs))
        return median(ratios) if ratios else None

    return measured


def _median(case: str, figure: str, scale: float = 1.0) -> Measured:
    def measured(book: Book) -> float | None:
        value = book.median(case, OURS, figure)
        return None if value is None else value * scale

    return measured


CLUSTER_GOALS = (
    Goal(
        "from node to node, p50, by the bare pub/sub hop",
        ratio((_LATENCY, OURS), (_LATENCY, BARE), "p50"),
        2.0,
        False,
        "×",
    ),
    Goal("from node to node, p50, by the quickest peer", _by_best_peer(_LATENCY, "p50", min), 1.0, False, "×"),
    Goal("highest rate from node to node, by the best peer", _by_best_peer(_RATE, "rate", max), 3.0, True, "×"),
    *(
        Goal(f"{what}, 8 nodes by 2", ratio(("unicast-8", OURS), ("unicast-2", OURS), figure), 1.1, False, "×")
        for what, figure in (
            ("CPU of Redis for a unicast", "redis_us"),
            ("commands for a unicast", "commands"),
            ("CPU of all nodes for a unicast", "nodes_us"),
        )
    ),
    Goal(
        "list of all clients, on a node that has none of them", _median("listing", "seconds", 1000), 200.0, False, " ms"
    ),
    Goal("commands per second and idle node, with clients", worst("idle", "commands"), 5.0, False, "/s"),
    Goal(
        "the same by an idle node without clients", ratio(("idle", OURS), ("idle-0", OURS), "commands"), 1.1, False, "×"
    ),
)
"""All of them."""
