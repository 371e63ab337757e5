"""Counters of one process. Prometheus and ``gobroke status`` read them; nothing decides by them."""

from __future__ import annotations

from collections import Counter


class Metrics:
    """Counts by name, and drops by reason. Not shared between threads: each thread's owner has its own or a loop."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.drops: Counter[str] = Counter()

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        self.counts[name] += by

    def drop(self, reason: str, by: int = 1) -> None:
        """Count a message that goes no further, with its reason (contract R1, R6)."""
        self.drops[reason] += by
