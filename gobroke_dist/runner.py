"""Runs a handler, in the colour that it has, and reports what it raises."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from typing import Any

from gobroke_dist.calling import Calling, calling
from gobroke_dist.logic import LogicBase, handler_of, is_async, logic_name
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics

log = logging.getLogger(__name__)

OnLogicError = Callable[[str, Message | None, BaseException, str], None]
"""Gets the logic's name, the message (None for a PASSIVE run), the exception, and the formatted stack."""


class Runner:
    """Args:
    metrics: where runs and failures are counted.
    on_logic_error: the application's own callback.
    threads: where plain ``def`` handlers run, when they are called from an event loop.
    """

    def __init__(self, *, metrics: Metrics, on_logic_error: OnLogicError | None, threads: Executor | None) -> None:
        self._metrics = metrics
        self._on_logic_error = on_logic_error
        self._threads = threads

    async def run(self, logic: LogicBase, argument: Any, run: Calling) -> None:
        """Run a handler from an event loop, without ever blocking it. What the handler raises is raised."""
        if is_async(logic):
            await self.run_async(logic, argument, run)
            return
        context = copy_context()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, context.run, self.run_blocking, logic, argument, run)

    async def run_async(self, logic: LogicBase, argument: Any, run: Calling) -> None:
        """Run an ``async def`` handler; over when all that it began to send is on its way."""
        with calling(run), self._reported(logic, argument):
            answer = handler_of(logic)(argument)
            if answer is not None:
                await answer
            while run.pending:
                await asyncio.gather(*run.pending)

    def run_blocking(self, logic: LogicBase, argument: Any, run: Calling) -> None:
        """Run a plain ``def`` handler on this thread."""
        with calling(run), self._reported(logic, argument):
            answer: Awaitable[None] | None = handler_of(logic)(argument)
            if answer is not None:
                raise TypeError(
                    f"run_logic of {logic_name(logic)!r} returned {type(answer).__name__}; declare it async def"
                )

    def _reported(self, logic: LogicBase, argument: Any) -> _Report:
        return _Report(logic_name(logic), argument, self._metrics, self._on_logic_error)


class _Report:
    """Counts a run, and tells the application of a failure, which goes on."""

    def __init__(self, name: str, argument: Any, metrics: Metrics, tell: OnLogicError | None) -> None:
        self._name = name
        self._message = argument if isinstance(argument, Message) else None
        self._metrics = metrics
        self._tell = tell

    def __enter__(self) -> None:
        self._metrics.count("logic_runs")

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, asyncio.CancelledError):
            return
        self._metrics.count("logic_errors")
        if self._tell is None:
            return
        try:
            self._tell(self._name, self._message, error, "".join(traceback.format_exception(error)))
        except Exception:
            log.exception("the callback on_logic_error raised")
