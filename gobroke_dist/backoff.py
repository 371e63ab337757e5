"""How long to wait before something that failed is tried again."""

from __future__ import annotations

from collections.abc import Iterator


def doubling(first: float, longest: float) -> Iterator[float]:
    """Pauses in seconds, without end: each twice the one before, and none longer than ``longest``."""
    pause = first
    while True:
        yield min(pause, longest)
        pause = min(2 * pause, longest)
