"""What this node publishes to itself: it comes back after all that was published to the node before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from gobroke_dist.errors import RedisUnavailable


@dataclass(slots=True)
class Echo:
    """One datum that is to come back. ``token`` goes with it."""

    timeout: float
    token: str = field(default_factory=lambda: uuid4().hex)
    back: asyncio.Event = field(default_factory=asyncio.Event)

    async def heard(self) -> None:
        """Wait until it is back. Raises ``RedisUnavailable`` if it does not come in time."""
        try:
            async with asyncio.timeout(self.timeout):
                await self.back.wait()
        except TimeoutError:
            raise RedisUnavailable(f"what it was given for this node has not come within {self.timeout:g} s") from None


class Echoes:
    """Those that are still to come back.

    Args:
        timeout: seconds that each has for it.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._expected: dict[str, Echo] = {}

    @contextmanager
    def expected(self) -> Iterator[Echo]:
        """An echo to publish and wait for within the block."""
        echo = Echo(self._timeout)
        self._expected[echo.token] = echo
        try:
            yield echo
        finally:
            del self._expected[echo.token]

    def arrived(self, token: str) -> None:
        """A datum with this token has come; nothing happens if nobody waits for it here."""
        echo = self._expected.get(token)
        if echo is not None:
            echo.back.set()
