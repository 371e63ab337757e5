from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta

import pytest

from gobroke_dist.backends.redis.schedule_record import ScheduleRecord
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.schedule import Every, Schedule
from gobroke_dist.scheduler import Scheduler, cluster_schedules
from gobroke_dist.settings import Settings
from gobroke_dist.ticker import RemoteClock, Ticker
from tests.eventually import eventually

NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)
FAST = Every(timedelta(milliseconds=30))
HOURLY = Every(timedelta(hours=1))


def ms(t: datetime) -> int:
    return round(t.timestamp() * 1000)


class Hands:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        raise AssertionError("the machine's wall clock decides nothing")


class Redis:
    """Claims and record of one Redis, with a clock of its own, that can be away."""

    def __init__(self, hands: Hands, now: datetime = NOON) -> None:
        self.hands = hands
        self.ahead = now.timestamp() - hands.monotonic()
        self.away = False
        self.last: dict[str, int] = {}
        self.fired: list[tuple[str, int]] = []
        self.asked = 0

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise RedisUnavailable("it is away")

    async def fire(self, logic_name: str, nominal_ms: int) -> bool:
        self._answer()
        if nominal_ms <= self.last.get(logic_name, 0):
            return False
        self.last[logic_name] = nominal_ms
        self.fired.append((logic_name, nominal_ms))
        return True

    async def redis_now_ms(self) -> int:
        self._answer()
        return round((self.hands.monotonic() + self.ahead) * 1000)

    async def since(self, nominal_ms: Mapping[str, int]) -> dict[str, int]:
        self._answer()
        return {name: self.last.setdefault(name, nominal) for name, nominal in nominal_ms.items()}


def scheduler(redis: Redis, **schedules: Schedule) -> Scheduler:
    return Scheduler(schedules, redis, redis, RemoteClock(redis.redis_now_ms, redis.hands))


@contextlib.asynccontextmanager
async def running(*schedulers: Scheduler) -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks = [asyncio.create_task(one.run(await one.start())) for one in schedulers]
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Running(Hands):
    """A clock that runs, from an odd start."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time() + 12345


async def test_p3_many_schedulers_fire_each_nominal_time_once() -> None:
    """Three schedulers try at each nominal time; one run comes of it."""
    redis = Redis(Running())
    async with running(*(scheduler(redis, sweep=FAST) for _ in range(3))):
        await eventually(lambda: len(redis.fired) >= 6)
    times = [nominal for _, nominal in redis.fired]
    assert times == sorted(set(times))
    assert all(nominal % 30 == 0 for nominal in times)


async def test_p3_a_standby_takes_over_at_once() -> None:
    """When the scheduler that fired so far is gone, the next nominal time is fired all the same."""
    redis = Redis(Running())
    async with running(scheduler(redis, sweep=FAST), scheduler(redis, sweep=FAST)) as tasks:
        await eventually(lambda: len(redis.fired) >= 3)
        tasks[0].cancel()
        before = len(redis.fired)
        await eventually(lambda: len(redis.fired) >= before + 3)
    times = [nominal for _, nominal in redis.fired]
    assert len(set(times)) == len(times)


async def test_p4_after_an_outage_the_latest_missed_run_is_fired_once(caplog: pytest.LogCaptureFixture) -> None:
    """Five nominal times pass while Redis is away; then the fifth is fired, and the outage was logged once."""
    caplog.set_level(logging.INFO, "gobroke_dist.scheduler")
    hands = Hands()
    redis = Redis(hands, NOON + timedelta(minutes=59, seconds=59, milliseconds=990))
    async with running(scheduler(redis, sweep=HOURLY, tidy=HOURLY)):
        redis.away = True
        hands.seconds += 5 * 3600
        await eventually(lambda: redis.asked >= 8)
        redis.away = False
        await eventually(lambda: len(redis.fired) == 2)
    assert sorted(redis.fired) == [("sweep", ms(NOON) + 5 * 3600_000), ("tidy", ms(NOON) + 5 * 3600_000)]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_p4_what_was_missed_while_no_scheduler_ran_is_fired_once() -> None:
    """A scheduler that starts late fires the latest nominal time that nobody fired."""
    redis = Redis(Hands(), NOON + timedelta(minutes=10))
    redis.last["sweep"] = ms(NOON - timedelta(hours=7))
    async with running(scheduler(redis, sweep=HOURLY), scheduler(redis, sweep=HOURLY)):
        await eventually(lambda: redis.fired)
        await eventually(lambda: redis.asked >= 6)
    assert redis.fired == [("sweep", ms(NOON))]


async def test_p4_a_new_schedule_owes_nothing() -> None:
    """The first scheduler of a new application does not fire for the time before it existed."""
    redis = Redis(Hands(), NOON + timedelta(minutes=10))
    since = await scheduler(redis, sweep=HOURLY).start()
    assert since == {"sweep": NOON}


async def test_w20_the_machines_wall_clock_decides_nothing() -> None:
    """Only Redis' time counts, and a correction of it is taken over; the wall clock is never asked."""
    hands = Hands()
    redis = Redis(hands)
    clock = RemoteClock(redis.redis_now_ms, hands)
    await clock.measure()
    assert clock.now() == NOON
    hands.seconds += 2.5
    assert clock.now() == NOON + timedelta(seconds=2.5)
    redis.ahead += 60
    await clock.measure()
    assert clock.now() == NOON + timedelta(seconds=62.5)


async def test_p5_a_ticker_survives_what_its_callback_raises(caplog: pytest.LogCaptureFixture) -> None:
    """A run that fails is logged and not repeated; the next nominal time comes all the same."""
    runs: list[datetime] = []

    async def fire(nominal: datetime) -> None:
        runs.append(nominal)
        raise ValueError("this run is broken")

    loop = asyncio.get_running_loop()
    now = lambda: datetime.fromtimestamp(loop.time(), UTC)  # noqa: E731
    task = asyncio.create_task(Ticker(FAST, now, fire).run(now()))
    await eventually(lambda: len(runs) >= 3)
    task.cancel()
    assert len(set(runs)) == len(runs)
    assert "this run is broken" in caplog.text


def test_p5_only_cluster_logic_is_the_schedulers() -> None:
    """A scheduler leaves scope ``node`` to the edges, and takes no logic that has messages to process."""
    cluster, node = LogicBase("c", LogicType.PASSIVE), LogicBase("n", LogicType.PASSIVE)
    cluster.every = node.every = 1
    node.scope = "node"
    worker = LogicBase("w", LogicType.WORKER)
    assert list(cluster_schedules({"c": cluster, "n": node, "w": worker})) == ["c"]


async def test_p4_the_record_is_noted_once_for_all_schedulers(redis_url: str, prefix: str) -> None:
    """The first scheduler's note stands: a later one learns it instead of writing its own."""
    settings = Settings(redis_url=redis_url, prefix=prefix)
    first, second = ScheduleRecord(settings), ScheduleRecord(settings)
    assert await first.since({"sweep": 1000, "tidy": 500}) == {"sweep": 1000, "tidy": 500}
    assert await second.since({"tidy": 900, "sweep": 2000}) == {"tidy": 500, "sweep": 1000}
    assert await second.since({}) == {}
    await first.close()
    await second.close()


async def test_p4_a_record_that_can_not_be_read_is_an_outage(prefix: str) -> None:
    """Redis away is the error that the scheduler knows, not its client library's."""
    record = ScheduleRecord(Settings(redis_url="redis://127.0.0.1:1/0", prefix=prefix))
    with pytest.raises(RedisUnavailable):
        await record.since({"sweep": 1})
    await record.close()
