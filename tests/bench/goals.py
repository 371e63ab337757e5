"""The figures to reach, and whether they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.figures import Book, Subject
from tests.bench.plan import HOT, OURS, PEERS, STOCK, STUB

Measured = Callable[[Book], float | None]


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure to reach.

    Attributes:
        what: in words.
        measured: the figure; None: not measured in this run.
        bound: what it is to be.
        least: whether the bound is the least that counts, or the most.
        unit: behind the number.
    """

    what: str
    measured: Measured
    bound: float
    least: bool
    unit: str

    def reached(self, book: Book) -> bool | None:
        """None: not measured in this run."""
        value = self.measured(book)
        if value is None:
            return None
        return value >= self.bound if self.least else value <= self.bound


def ratio(of: tuple[str, str], to: tuple[str, str], figure: str = "rate") -> Measured:
    """Of one (case, contestant) by another's."""
    return lambda book: book.ratio(Subject(*of, figure), Subject(*to, figure))


def worst(case: str, figure: str, scale: float = 1.0) -> Measured:
    """The product's largest of all rounds."""

    def measured(book: Book) -> float | None:
        value = book.worst(case, OURS, figure)
        return None if value is None else value * scale

    return measured


def _age(share: float) -> Measured:
    def measured(book: Book) -> float | None:
        age = book.age(OURS, share)
        return None if age is None else age * 1000

    return measured


def _takeover(case: str) -> Measured:
    return lambda book: book.longest_takeover(case)


_BASE, _HOT_KEY = ("base", OURS), ("one-key", OURS)
_GOALS = (
    Goal("drain, 100 keys, by stock Dramatiq unordered", ratio(_BASE, ("base", STOCK)), 2.0, True, "×"),
    Goal("drain, 100 keys, by Dramatiq's StubBroker without Redis", ratio(_BASE, ("base", STUB)), 0.5, True, "×"),
    *(Goal(f"drain, 100 keys, by {peer}", ratio(_BASE, ("base", peer)), 1.0, True, "×") for peer in PEERS),
    Goal(
        "drain, 1 key, by stock with 1 thread and prefetch 512",
        ratio(_HOT_KEY, ("one-key", HOT)),
        1.5,
        True,
        "×",
    ),
    Goal("async def by def, 100 keys", ratio(("async", OURS), _BASE), 2.0, True, "×"),
    Goal("enqueue by stock send()", ratio(_BASE, ("base", STOCK), "send_rate"), 5.0, True, "×"),
    Goal("longest time that enqueueing holds the loop", worst("loop", "blocked", 1000), 1.0, False, " ms"),
    Goal("idle latency p50", _age(0.5), 2.0, False, " ms"),
    Goal("idle latency p99", _age(0.99), 10.0, False, " ms"),
    Goal("requests to Redis per second, one idle process", worst("latency", "idle_requests"), 1.0, False, "/s"),
    Goal("drain with 1,000,000 waiting by drain with 10,000", ratio(("million", OURS), _BASE), 0.8, True, "×"),
    Goal("memory per waiting message by stock's", ratio(_BASE, ("base", STOCK), "memory"), 1.5, False, "×"),
    Goal("longest takeover after a crash, lease of 2 s", _takeover("takeover-2s"), 3.0, False, " s"),
    Goal("longest takeover after a crash, default settings", _takeover("takeover"), 12.0, False, " s"),
)


def goals() -> tuple[Goal, ...]:
    """All of them."""
    return _GOALS
