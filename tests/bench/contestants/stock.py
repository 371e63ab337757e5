"""Stock Dramatiq on its RedisBroker, unordered, with its default middleware."""

from __future__ import annotations

import os

from tests.bench.board import Slot
from tests.bench.contestants.roles import dripped, handler, main, timed, until_told
from tests.bench.job import Job, current

if current().prefetch:
    os.environ["dramatiq_queue_prefetch"] = str(current().prefetch)  # noqa: SIM112 - its name; read at import

import dramatiq
from dramatiq.broker import Broker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO


def declare(job: Job, broker: Broker, slot: Slot | None) -> dramatiq.Actor[[str], object]:
    """The actor of the benchmark; without a slot, for sending only."""
    dramatiq.set_broker(broker)
    handle = handler(job, slot) if slot else print
    if job.handler == "async":
        broker.add_middleware(AsyncIO())

        async def bench_async(payload: str) -> None:
            handle(payload)

        return dramatiq.actor(bench_async, actor_name="bench")

    def bench(payload: str) -> None:
        handle(payload)

    return dramatiq.actor(bench, actor_name="bench")


def work(job: Job) -> None:
    """One worker process, with the threads that ``dramatiq -p 1 -t N`` has."""
    slot = Slot(job.board)
    broker = RedisBroker(url=job.url)
    declare(job, broker, slot)
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, worker_threads=job.threads)
    slot.wait_for_go()
    worker.start()
    until_told()
    worker.stop(timeout=2000)


def load(job: Job) -> None:
    """Send all with ``send()``."""
    actor = declare(job, RedisBroker(url=job.url), None)
    timed(job, lambda _, text: actor.send(text))


def drip(job: Job) -> None:
    """Send single messages."""
    actor = declare(job, RedisBroker(url=job.url), None)
    dripped(job, lambda _, text: actor.send(text))


if __name__ == "__main__":
    main({"work": work, "load": load, "drip": drip})
