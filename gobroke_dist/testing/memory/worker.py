"""A worker process: runs WORKER logic, and the cluster's PASSIVE logic, with the product's rules."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial

from gobroke_dist import payload
from gobroke_dist.calling import Calling
from gobroke_dist.errors import FrameInvalid, PayloadInvalid
from gobroke_dist.logic import LogicBase, Tick, is_async, logic_name
from gobroke_dist.message import Message
from gobroke_dist.tasks.letters import Undeliverable, reason_of
from gobroke_dist.testing.memory.letters import Handed, argument
from gobroke_dist.testing.memory.process import Process
from gobroke_dist.testing.memory.transaction import MemoryTransaction
from gobroke_dist.worker import runs_in_workers

log = logging.getLogger(__name__)


class MemoryWorker:
    """Args:
    process: its part of the cluster; the role is ``worker``.
    crashing: by logic, how many of its next runs end with their process.
    crashed: called then, with this worker.
    """

    def __init__(self, process: Process, crashing: Counter[str], crashed: Callable[[MemoryWorker], None]) -> None:
        self.process = process
        self._crashing = crashing
        self._crashed = crashed
        self._queues = process.shared.queues
        self._bell = asyncio.Event()
        self._runs: dict[asyncio.Task[None], LogicBase] = {}
        self._turn = 0

    async def start(self) -> None:
        """Join the cluster, and begin to take messages."""
        await self.process.runtime.open()
        self.process.runtime.keep()
        self._queues.listen(self._bell.set)
        self._taking = self.process.start(self._take())

    async def stop(self) -> None:
        """Cancel what runs, and leave the cluster."""
        self.cut_off()
        await asyncio.gather(self._taking, *self._runs, return_exceptions=True)
        await self.process.runtime.close()

    def runs(self, logic: str | None) -> bool:
        """Whether it runs a message of this logic, or, with None, of any."""
        return any(logic in (None, logic_name(one)) for one in self._runs.values())

    def cut_off(self) -> None:
        """Nothing of it goes on. A plain ``def`` handler can't be stopped; nothing that it does counts any more."""
        self._taking.cancel()
        for run in self._runs:
            run.cancel()

    # --- taking ------------------------------------------------------------------

    async def _take(self) -> None:
        while True:
            self._bell.clear()
            await self.process.way.clear()
            while self._take_one():
                pass
            await self._bell.wait()

    def _take_one(self) -> bool:
        """Start one message. Logics take turns."""
        logics = [logic for logic in self.process.shared.application.logics.values() if runs_in_workers(logic)]
        self._turn += 1
        for number in range(len(logics)):
            logic = logics[(self._turn + number) % len(logics)]
            handed = self._next_of(logic) if self._has_room(logic) else None
            if handed is not None:
                self._start(logic, handed)
                return True
        return False

    def _next_of(self, logic: LogicBase) -> Handed | None:
        return self._queues.of(logic_name(logic)).take(self.process.name, self.process.shared.clock.monotonic())

    def _has_room(self, logic: LogicBase) -> bool:
        """``async def``: as many at once as the logic says; plain ``def``: as many as there are threads."""
        if is_async(logic):
            return sum(other is logic for other in self._runs.values()) < logic.concurrency
        return sum(not is_async(other) for other in self._runs.values()) < self.process.shared.settings.threads

    def _start(self, logic: LogicBase, handed: Handed) -> None:
        run = self.process.start(self._handle(logic, handed))
        self._runs[run] = logic
        run.add_done_callback(self._ended)

    def _ended(self, run: asyncio.Task[None]) -> None:
        del self._runs[run]
        self._bell.set()
        if not run.cancelled() and run.exception() is not None:
            log.error("a message could not be settled", exc_info=run.exception())

    # --- one message -------------------------------------------------------------

    async def _handle(self, logic: LogicBase, handed: Handed) -> None:
        settle = await self._run(logic, handed)
        await self.process.way.clear()
        if self.process.way.alive and self._crashing[logic_name(logic)] > 0:
            self._crashing[logic_name(logic)] -= 1
            self._crashed(self)
        if not self.process.way.alive:
            return
        if not self._queues.of(handed.letter.logic).holds(handed):
            self.process.runtime.metrics.count("settlements_refused")
            return
        for name, message in settle():
            await self.process.runtime.dispatcher.dispatch(name, message)

    async def _run(self, logic: LogicBase, handed: Handed) -> Callable[[], list[tuple[str, Message]]]:
        """Run the handler. Returns what settles the message, which returns what is to be dispatched then."""
        transaction = MemoryTransaction()
        try:
            given = _given(logic, handed)
            async with asyncio.timeout(logic.time_limit):
                await self.process.runtime.runner.run(logic, given, Calling(transaction))
            transaction.seal()
        except Exception as error:  # noqa: BLE001 - whatever it was, it is a failed run
            log.info("logic %r raised on message %s: %s", logic_name(logic), handed.letter.id, type(error).__name__)
            return partial(self._fail, logic, handed, _judged(logic, error))
        return partial(self._commit, handed, transaction)

    def _commit(self, handed: Handed, transaction: MemoryTransaction) -> list[tuple[str, Message]]:
        """All at once: it is done, and what it sent is sent (contract W7)."""
        self._queues.commit(handed)
        transaction.carry_out(self.process.runtime.bus, self._queues)
        return transaction.after_commit

    def _fail(self, logic: LogicBase, handed: Handed, error: Exception) -> list[tuple[str, Message]]:
        attempt = handed.delivery.attempt
        if isinstance(error, Undeliverable) or attempt >= logic.max_attempts:
            self._queues.bury(handed, reason_of(error), f"{type(error).__name__}: {error}")
        else:
            self._queues.retry(handed, min(logic.max_backoff, logic.min_backoff * 2 ** (attempt - 1)))
        return []


def _given(logic: LogicBase, handed: Handed) -> Message | Tick:
    """What the handler gets. Raises ``Undeliverable``: the message itself is wrong, and would be again."""
    try:
        given = argument(handed)
        if isinstance(given, Message):
            payload.validate(logic, given)
    except (FrameInvalid, PayloadInvalid) as error:
        raise Undeliverable(str(error)) from error
    return given


def _judged(logic: LogicBase, error: Exception) -> Exception:
    """As in production: what a handler sends to its own logic with a wrong payload is not tried again."""
    if isinstance(error, PayloadInvalid) and error.logic == logic_name(logic):
        return Undeliverable(str(error))
    return error
