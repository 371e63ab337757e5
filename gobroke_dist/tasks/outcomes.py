"""Telling those who sent something what became of it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from gobroke_dist.tasks.announcing import Announcer
from gobroke_dist.tasks.waiting_line import Pending

_AT_ONCE = 24
"""In one turn of the event loop: each may wake a task, and all of those run in the next turn."""


class Outcomes:
    """Tells senders in order, and no more of them in one turn than the event loop has time for.

    Args:
        announcer: hears of what was accepted.
    """

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._waiting: deque[tuple[Pending, Exception | None]] = deque()
        self._next: asyncio.Handle | None = None
        self._told = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def accepted(self, those: Iterable[Pending]) -> None:
        """Redis has these, now or since before."""
        self._waiting += [(one, None) for one in those]
        self._begin()

    def failed(self, those: Iterable[Pending], error: Exception) -> None:
        """These were not accepted, or it is not known."""
        self._waiting += [(one, error) for one in those]
        self._begin()

    async def down_to(self, few: int) -> None:
        """Wait until no more than ``few`` are still to be told."""
        while len(self._waiting) > few:
            self._told.clear()
            await self._told.wait()

    def _begin(self) -> None:
        if self._next is None:
            self._tell()

    def _tell(self) -> None:
        for _ in range(min(_AT_ONCE, len(self._waiting))):
            one, error = self._waiting.popleft()
            one.tell(error)
            if error is None:
                self._announcer.after_enqueue(one.message)
        self._told.set()
        self._next = asyncio.get_running_loop().call_soon(self._tell) if self._waiting else None
