"""gobroke_dist: a worker process as ``gobroke worker`` runs it, fed by an edge's producer."""

from __future__ import annotations

import asyncio
import time

from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.outlet import Task
from gobroke_dist.pauses import spare_what_stays
from gobroke_dist.runtime import Application
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.producer import AsyncProducer
from gobroke_dist.worker import WorkerRole, run_worker
from tests.bench.board import Slot
from tests.bench.contestants.roles import dripped_async, handler, main, report, run
from tests.bench.job import Job

LOGIC = "bench"
_FRAMES = 10  # messages that clients' frames bring in one turn of the loop
_UNDER_WAY = 1000


def _settings(job: Job) -> Settings:
    return Settings(redis_url=job.url, prefix="bench", threads=job.threads)


def _task(number: int, job: Job, text: str) -> Task:
    return Task(LOGIC, f"key-{number % job.keys}", Message(to_logic=LOGIC, message_raw=text))


def work(job: Job) -> None:
    """One worker process."""
    slot = Slot(job.board)
    handle = handler(job, slot)

    class Bench(LogicBase):
        name, logic_type = LOGIC, LogicType.WORKER

        def run_logic(self, message: Message) -> None:
            handle(message.message_raw.decode())

    class BenchAsync(LogicBase):
        name, logic_type = LOGIC, LogicType.WORKER

        async def run_logic(self, message: Message) -> None:
            handle(message.message_raw.decode())

    logic = BenchAsync() if job.handler == "async" else Bench()
    settings = _settings(job)
    role = WorkerRole(Application(logics={LOGIC: logic}), settings)
    role.declare(logic)
    slot.wait_for_go()
    run_worker(role, settings)


def load(job: Job) -> None:
    """Send all from one event loop, as an edge does with what its clients send."""
    run(_load(job))


def watch(job: Job) -> None:
    """As ``load``, and say how long the loop was held up."""
    run(_watch(job))


def idle_watch(job: Job) -> None:
    """The same watch over a loop that makes the messages and sends them nowhere: what the machine itself holds up."""
    run(_idle_watch(job))


def drip(job: Job) -> None:
    """Send single messages from an event loop."""
    run(_drip(job))


class _Edge:
    """The producer of an edge."""

    def __init__(self, job: Job) -> None:
        self._settings = _settings(job)
        self._broker = OrderedBroker(self._settings)
        self._redis = connect(self._settings)
        self.producer = AsyncProducer(self._broker, self._redis, self._settings, Metrics())

    async def __aenter__(self) -> AsyncProducer:
        self.producer.start()
        await self.producer.redis_now_ms()
        spare_what_stays()  # as an edge does
        return self.producer

    async def __aexit__(self, *_: object) -> None:
        await self.producer.close()
        await self._redis.aclose()
        self._broker.close()


async def _load(job: Job) -> None:
    async with _Edge(job) as producer:
        started = time.perf_counter()
        await _send_all(job, producer)
        report(seconds=time.perf_counter() - started)


async def _send_all(job: Job, producer: AsyncProducer) -> None:
    text, under_way = job.text, asyncio.Semaphore(_UNDER_WAY)
    last: asyncio.Future[None] | None = None
    for number in range(job.messages):
        await under_way.acquire()
        last = producer.enqueue(_task(number, job, text))
        last.add_done_callback(lambda _: under_way.release())
        if number % _FRAMES == 0:
            await asyncio.sleep(0)
    if last is not None:
        await last


async def _watch(job: Job) -> None:
    async with _Edge(job) as producer:
        gaps = await _gaps(_send_all(job, producer))
    _report_gaps(gaps)


async def _idle_watch(job: Job) -> None:
    async def send_nowhere() -> None:
        text = job.text
        for number in range(job.messages):
            _task(number, job, text)
            if number % _FRAMES == 0:
                await asyncio.sleep(0)

    _report_gaps(await _gaps(send_nowhere()))


async def _gaps(work: asyncio.Future[None] | object) -> list[float]:
    """How long each turn of the loop took while ``work`` ran."""
    running = asyncio.ensure_future(work)  # type: ignore[arg-type]
    gaps: list[float] = []
    before = time.perf_counter()
    while not running.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        gaps.append(now - before)
        before = now
    await running
    return gaps


def _report_gaps(gaps: list[float]) -> None:
    ordered = sorted(gaps)
    over = sum(gap > 0.001 for gap in ordered)
    report(blocked=ordered[-1], p99=ordered[int(len(ordered) * 0.99)], over_1ms=over, turns=len(ordered))


async def _drip(job: Job) -> None:
    async with _Edge(job) as producer:

        async def send(number: int, text: str) -> None:
            await producer.enqueue(_task(number, job, text))

        await dripped_async(job, send)


if __name__ == "__main__":
    main({"work": work, "load": load, "drip": drip, "watch": watch, "idle_watch": idle_watch})
