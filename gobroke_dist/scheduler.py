"""The scheduler role: hands the cluster's PASSIVE logic over to the workers at each nominal time.

There is no leader. Every scheduler tries at every nominal time, and the atomic claim lets one of them through;
so when one dies, the others need not notice (contract P3).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from gobroke_dist.backends.redis.schedule_record import ScheduleRecord
from gobroke_dist.clock import SystemClock
from gobroke_dist.errors import Unavailable
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.runtime import Application, Runtime
from gobroke_dist.schedule import Schedule, schedule_of
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.ticker import RemoteClock, Ticker

log = logging.getLogger(__name__)

_MEASURE_SECONDS = 10.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class Claims(Protocol):
    """The atomic claim, and the clock that it goes by. Every call may raise ``RedisUnavailable``."""

    async def fire(self, logic_name: str, nominal_ms: int) -> bool:
        """Claim a nominal time and enqueue its run; False: it was claimed before."""
        ...

    async def redis_now_ms(self) -> int:
        """Unix milliseconds of Redis' clock."""
        ...


class Record(Protocol):
    """What was fired last. Every call may raise ``RedisUnavailable``."""

    async def since(self, nominal_ms: Mapping[str, int]) -> dict[str, int]:
        """For each logic the last nominal time that was fired; where there is none yet, the given one is noted
        as if it had been: a schedule owes nothing for the time before it was first seen.
        """
        ...


class Declared(Protocol):
    """An application object, as far as a scheduler needs it."""

    @property
    def application(self) -> Application: ...
    @property
    def broker(self) -> OrderedBroker: ...


class Scheduler:
    """All schedules of one application, in one process.

    Args:
        schedules: by the logic's name.
        claims: who fires.
        record: what was fired while no scheduler ran here.
        clock: Redis' time; measured by ``run``.
    """

    def __init__(self, schedules: Mapping[str, Schedule], claims: Claims, record: Record, clock: RemoteClock) -> None:
        self._schedules = schedules
        self._claims = claims
        self._record = record
        self._clock = clock
        self._down = False

    async def start(self) -> dict[str, datetime]:
        """Read the clock and the record. Returns since when each logic's nominal times are owed."""
        await self._clock.measure()
        now = self._clock.now()
        latest = {name: _milliseconds(schedule.latest_at(now)) for name, schedule in self._schedules.items()}
        fired = await self._record.since(latest)
        return {name: _EPOCH + fired[name] * _MILLISECOND for name in latest}

    async def run(self, since: Mapping[str, datetime]) -> None:
        """Fire until cancelled. ``since`` comes from ``start``."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure())
            for name, start in since.items():
                ticker = Ticker(self._schedules[name], self._clock.now, partial(self._fire, name))
                tasks.create_task(ticker.run(start), name=f"schedule {name}")

    async def _fire(self, name: str, nominal: datetime) -> None:
        try:
            won = await self._claims.fire(name, _milliseconds(nominal))
        except Unavailable as error:
            self._note(error)
            raise
        self._note(None)
        log.debug("%s of %s: %s", name, nominal.isoformat(), "fired" if won else "another scheduler had fired it")

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(_MEASURE_SECONDS)
            try:
                await self._clock.measure()
            except Unavailable as error:
                self._note(error)
            else:
                self._note(None)

    def _note(self, error: Unavailable | None) -> None:
        """Log where an outage begins and ends, not what it consists of."""
        if error is not None and not self._down:
            log.warning("%s; nothing is fired until it is back", error)
        elif error is None and self._down:
            log.info("Redis is back; of what was missed, the latest run of each logic is fired")
        self._down = error is not None


def cluster_schedules(logics: Mapping[str, LogicBase]) -> dict[str, Schedule]:
    """The schedules of all PASSIVE logics of scope ``cluster``. Raises ``LogicInvalid``."""
    return {
        name: schedule_of(logic)
        for name, logic in logics.items()
        if logic.logic_type is LogicType.PASSIVE and logic.scope == "cluster"
    }


@contextlib.asynccontextmanager
async def firing(broke: Declared, settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """One scheduler, for as long as the block runs. Gives its task, which ends only if it fails.

    Raises:
        LogicInvalid: a schedule can't work.
        RedisUnavailable: Redis can't be reached at the start.
    """
    async with _joined(broke, settings) as scheduler:
        task = asyncio.create_task(scheduler.run(await scheduler.start()))
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def run_scheduler(broke: Declared, settings: Settings, *, ready: Callable[[], None] | None = None) -> None:
    """Run one scheduler until SIGTERM or SIGINT.

    Args:
        broke: whose PASSIVE logics to fire.
        settings: how.
        ready: called once, when everything that is due will be fired.

    Raises:
        LogicInvalid: a schedule can't work.
        RedisUnavailable: Redis can't be reached at the start.
    """
    stop = _stop_signal()
    async with firing(broke, settings) as task:
        if ready is not None:
            ready()
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()


@contextlib.asynccontextmanager
async def _joined(broke: Declared, settings: Settings) -> AsyncIterator[Scheduler]:
    """A scheduler that is a member of the cluster while the block runs."""

    schedules = cluster_schedules(broke.application.logics)
    runtime = Runtime(broke.application, settings, "scheduler", broke.broker)
    record = ScheduleRecord(settings)
    try:
        await runtime.open()
        runtime.keep()
        clock = RemoteClock(runtime.producer.redis_now_ms, SystemClock())
        yield Scheduler(schedules, runtime.producer, record, clock)
    finally:
        await runtime.close()
        await record.close()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _milliseconds(t: datetime) -> int:
    return (t - _EPOCH) // _MILLISECOND
