"""Waits for nominal times, and calls back at each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gobroke_dist.backoff import doubling
from gobroke_dist.clock import Clock
from gobroke_dist.errors import Unavailable
from gobroke_dist.schedule import Schedule

log = logging.getLogger(__name__)

_LONGEST_SLEEP = 5.0  # seconds; the clock behind ``now`` may have been set right meanwhile
_FIRST_RETRY = 0.1
_LAST_RETRY = 5.0


class RemoteClock:
    """Another machine's wall clock, read now and then and carried on by this machine's monotonic clock.

    This machine's own wall clock plays no part: it may be an hour off, or jump (contract W20).

    Args:
        read: asks for that clock's Unix milliseconds; here Redis'.
        clock: this machine's.
    """

    def __init__(self, read: Callable[[], Awaitable[int]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._offset: float | None = None

    async def measure(self) -> None:
        """Read the other clock. Call it before ``now``, and again every few seconds. Raises what ``read`` raises."""
        before = self._clock.monotonic()
        milliseconds = await self._read()
        self._offset = milliseconds / 1000 - (before + self._clock.monotonic()) / 2

    def now(self) -> datetime:
        """The other clock's time, aware, in UTC; right within half a round trip."""
        assert self._offset is not None, "measure() comes first"
        return datetime.fromtimestamp(self._clock.monotonic() + self._offset, UTC)


class Ticker:
    """Fires at each nominal time of a schedule, one after another.

    Misfire policy ``once``: of the nominal times that passed while it could not fire, the latest is fired, once.

    Args:
        schedule: when.
        now: the clock that decides; aware.
        fire: gets the nominal time. If it raises ``Unavailable`` it is called again with what is then the latest
            nominal time, after a pause that grows from 0.1 s to 5 s; anything else that it raises is logged.
    """

    def __init__(
        self, schedule: Schedule, now: Callable[[], datetime], fire: Callable[[datetime], Awaitable[object]]
    ) -> None:
        self._schedule = schedule
        self._now = now
        self._fire = fire

    async def run(self, since: datetime) -> None:
        """Fire for every nominal time after ``since``, until cancelled; one in the past is fired at once."""
        while True:
            await self._until(self._schedule.next_after(since))
            since = max(since, await self._fire_latest())

    async def _until(self, due: datetime) -> None:
        while True:
            wait = (due - self._now()) / timedelta(seconds=1)
            if wait <= 0:
                return
            await asyncio.sleep(min(wait, _LONGEST_SLEEP))

    async def _fire_latest(self) -> datetime:
        for pause in doubling(_FIRST_RETRY, _LAST_RETRY):
            nominal = self._schedule.latest_at(self._now())
            try:
                await self._fire(nominal)
            except Unavailable:
                await asyncio.sleep(pause)
                continue
            except Exception:
                log.exception("the run of %s failed", nominal.isoformat())
            return nominal
        raise AssertionError("unreachable")
