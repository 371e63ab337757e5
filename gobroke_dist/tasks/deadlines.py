"""Time limits of tasks on an event loop, without a timer for each."""

from __future__ import annotations

import asyncio
from typing import Any

CHECK = 0.25
"""Seconds from one look at the clock to the next, while anything runs; so late may a task be ended."""


class Deadlines:
    """Cancels tasks that run for too long. For one event loop, and used on it only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ends: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def start(self, task: asyncio.Task[Any], limit: float) -> None:
        """From now on the task has so many seconds."""
        self._ends[task] = self._loop.time() + limit
        if self._timer is None:
            self._timer = self._loop.call_later(CHECK, self._check)

    def stop(self, task: asyncio.Task[Any]) -> bool:
        """It is over. Whether its time had run out, so that it was cancelled."""
        self._ends.pop(task, None)
        if task not in self._late:
            return False
        self._late.remove(task)
        task.uncancel()
        return True

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        now = self._loop.time()
        for task in [task for task, end in self._ends.items() if end <= now]:
            del self._ends[task]
            self._late.add(task)
            task.cancel()
        self._timer = self._loop.call_later(CHECK, self._check) if self._ends else None
