"""Time as an argument: decisions take ``now``, shells ask a ``Clock``, and tests turn the hands."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a shell gets the time from."""

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back. For timeouts, leases and rates."""
        ...

    def now(self) -> datetime:
        """The wall clock, aware, in UTC. For people to read; it decides nothing (contract W20)."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)
