"""A clock that a test turns, and an event loop that goes by it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

START: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""What the clock shows at first, unless a test says otherwise."""

_TURNS_AT_ONCE = 256
_RESOLUTION = 1e-9


class FakeClock:
    """A ``Clock`` that stands still until somebody turns it.

    Args:
        monotonic: what ``monotonic`` says at first.
        start: what ``now`` says at first.
    """

    def __init__(self, monotonic: float = 0.0, start: datetime = START) -> None:
        self._first = self._seconds = monotonic
        self._start = start

    def monotonic(self) -> float:
        return self._seconds

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._seconds - self._first)

    def turn_to(self, seconds: float) -> None:
        """Set what ``monotonic`` says; never back."""
        self._seconds = max(self._seconds, seconds)


class StoppedLoop:
    """The running event loop, on which time stands still: timers and timeouts wait for ``advance``.

    That goes for all that is awaited on this loop, the test's own timeouts included. What threads do for the loop
    (plain ``def`` handlers, ``asyncio.to_thread``) takes real time, and is waited for.

    Args:
        start: what the clock shows at first.
        patience: seconds of real time that ``settle`` takes at most.

    Raises:
        RuntimeError: the loop is not asyncio's own; another one's time can't be stopped.
    """

    def __init__(self, start: datetime = START, patience: float = 10.0) -> None:
        loop = asyncio.get_running_loop()
        if not isinstance(loop, asyncio.BaseEventLoop):
            raise RuntimeError(f"time can't be stopped on a {type(loop).__name__}; run the test on asyncio's own loop")
        self.clock = FakeClock(loop.time(), start)
        self._loop: Any = loop  # its list of timers has no public name
        self._patience = patience
        self._threads: set[asyncio.Future[Any]] = set()
        self._asking = 0
        self._news = asyncio.Event()

    def stop_time(self) -> None:
        """From now on, time stands still."""
        self._run_in_executor = self._loop.run_in_executor
        self._loop.time = self.clock.monotonic
        self._loop.run_in_executor = self._in_executor

    def restore(self) -> None:
        """Let time pass as ever."""
        del self._loop.time, self._loop.run_in_executor

    async def settle(self, done: Callable[[], bool] = lambda: False) -> None:
        """Return when nothing more happens without time moving, or ``done()`` is true.

        Raises:
            AssertionError: something never comes to rest, or a thread is busy for too long.
        """
        until = time.monotonic() + self._patience
        while True:
            if await self._came_to_rest(done):
                if done() or not self._busy_threads:
                    return
                await self._thread_news(until)
            elif time.monotonic() > until:
                raise AssertionError("this never comes to rest: does a logic send to itself, again and again?")

    async def _came_to_rest(self, done: Callable[[], bool]) -> bool:
        for _ in range(_TURNS_AT_ONCE):
            await asyncio.sleep(0)
            if done() or not self._loop._ready:
                return True
        return False

    async def advance(self, seconds: float) -> None:
        """Let time pass, from one timer to the next; what each of them starts settles before the next is due."""
        await self.advance_until(lambda: False, seconds)

    async def advance_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """As ``advance``, but no further than to where ``done()`` is true. Returns whether it is."""
        end = self.clock.monotonic() + seconds
        await self.settle()
        while not done():
            due = self._next_timer()
            if due is None or due > end + _RESOLUTION:
                self.clock.turn_to(end)
                await self.settle()
                return done()
            self.clock.turn_to(due)
            await self.settle()
        return True

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """While the block runs, a thread waits for the loop, as opposed to doing something. Enter it on the loop."""
        self._note_asking(1)
        try:
            yield
        finally:
            self._note_asking(-1)

    @property
    def _busy_threads(self) -> int:
        return len(self._threads) - self._asking

    def _note_asking(self, change: int) -> None:
        self._asking += change
        self._news.set()

    def _next_timer(self) -> float | None:
        return min((timer.when() for timer in self._loop._scheduled if not timer.cancelled()), default=None)

    def _in_executor(self, executor: Any, work: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._run_in_executor(executor, work, *args)
        self._threads.add(future)
        future.add_done_callback(self._ended)
        return future

    def _ended(self, future: asyncio.Future[Any]) -> None:
        self._threads.discard(future)
        self._news.set()

    async def _thread_news(self, until: float) -> None:
        left = until - time.monotonic()
        if left <= 0:
            raise AssertionError(f"a plain def handler is busy for more than {self._patience:g} s of real time")
        self._news.clear()
        alarm = threading.Timer(left, self._loop.call_soon_threadsafe, (self._news.set,))
        alarm.daemon = True
        alarm.start()
        try:
            await self._news.wait()
        finally:
            alarm.cancel()
