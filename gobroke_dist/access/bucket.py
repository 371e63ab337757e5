"""A token bucket: so much at once, and so much per second."""

from __future__ import annotations


class TokenBucket:
    """Full at first. It reads no clock; ``now`` is seconds that never go back.

    Args:
        rate: tokens that come back per second; 0: there is no limit.
        burst: how many it holds.
        now: when it was made.
    """

    __slots__ = ("_burst", "_level", "_rate", "_since")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._since = now

    def take(self, now: float) -> bool:
        """Take one token; False: there is none, and nothing was taken."""
        if self._rate == 0:
            return True
        if now > self._since:
            self._level = min(self._burst, self._level + (now - self._since) * self._rate)
            self._since = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def wait(self, now: float) -> float:
        """Seconds until there is a token."""
        if self._rate == 0:
            return 0.0
        level = self._level + max(0.0, now - self._since) * self._rate
        return max(0.0, (1 - level) / self._rate)
