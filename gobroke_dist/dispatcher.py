"""DISPATCHED logic: runs here and now, so many at once per logic."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping

from gobroke_dist.calling import Calling
from gobroke_dist.errors import QueueFull
from gobroke_dist.logic import LogicBase
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.runner import Runner

log = logging.getLogger(__name__)


class Dispatcher:
    """Starts handlers in the order of the calls; each logic's ``concurrency`` bounds how many run at once.

    Args:
        logics: the application's logics by name.
        runner: runs a handler.
        metrics: where failures are counted.
        limit: how many messages from logics may wait for their turn.
        failed: told of a request that nobody will answer, and why, in a word.
    """

    def __init__(
        self,
        *,
        logics: Mapping[str, LogicBase],
        runner: Runner,
        metrics: Metrics,
        limit: int,
        failed: Callable[[Message, str], None],
    ) -> None:
        self._logics = logics
        self._runner = runner
        self._metrics = metrics
        self._limit = limit
        self._failed = failed
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def dispatch(self, name: str, message: Message) -> None:
        """Start a logic on a client's message; waits for a free slot, which holds up that client alone."""
        slots = self._slots_of(name)
        await slots.acquire()
        self._start(self._run(name, message, slots))

    def dispatch_soon(self, name: str, message: Message) -> None:
        """Start a logic on another logic's message. Does not wait: the sender may hold the slot that is needed.

        Raises:
            QueueFull: too many wait already.
        """
        if len(self._tasks) >= self._limit:
            raise QueueFull(f"the queue of DISPATCHED logic {name!r}", self._limit)
        self._start(self._run_in_turn(name, message))

    async def drain(self, timeout: float) -> None:
        """Wait for what runs, ``timeout`` seconds at most, then cancel it."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                log.warning("%d DISPATCHED runs were cut off after %g s", len(late), timeout)
                await asyncio.wait(late, timeout=1)

    def _slots_of(self, name: str) -> asyncio.Semaphore:
        slots = self._slots.get(name)
        if slots is None:
            slots = self._slots[name] = asyncio.Semaphore(self._logics[name].concurrency)
        return slots

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run_in_turn(self, name: str, message: Message) -> None:
        slots = self._slots_of(name)
        await slots.acquire()
        await self._run(name, message, slots)

    async def _run(self, name: str, message: Message, slots: asyncio.Semaphore) -> None:
        try:
            logic = self._logics.get(name)
            if logic is None:
                self._metrics.drop("logic_removed")
                self._failed(message, "logic_removed")
                return
            await self._runner.run(logic, message, Calling())
        except Exception:
            # It has been reported and counted; a DISPATCHED logic has no retry, and one failure stops nothing else.
            log.exception("DISPATCHED logic %r raised on message %s", name, message.uuid)
            self._failed(message, "logic_error")
        finally:
            slots.release()
