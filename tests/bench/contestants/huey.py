"""Huey: threads that block on a pop, no results. What runs when a worker dies is lost."""

from __future__ import annotations

import logging
from typing import Any

from huey import RedisHuey

from tests.bench.board import Slot
from tests.bench.contestants.roles import dripped, handler, main, timed
from tests.bench.job import Job


def make(job: Job, slot: Slot | None) -> tuple[RedisHuey, Any]:
    """The queue and its task; without a slot, for sending only."""
    queue = RedisHuey("bench", url=job.url, results=False)
    handle = handler(job, slot) if slot else print

    @queue.task(name="bench")
    def bench(payload: str) -> None:
        handle(payload)

    return queue, bench


def work(job: Job) -> None:
    """One consumer process."""
    logging.getLogger("huey").setLevel(logging.ERROR)
    slot = Slot(job.board)
    queue, _ = make(job, slot)
    consumer = queue.create_consumer(workers=job.threads, worker_type="thread", periodic=False)
    slot.wait_for_go()
    consumer.run()


def load(job: Job) -> None:
    """Send all by calling the task."""
    _, task = make(job, None)
    timed(job, lambda _, text: task(text))


def drip(job: Job) -> None:
    """Send single messages."""
    _, task = make(job, None)
    dripped(job, lambda _, text: task(text))


if __name__ == "__main__":
    main({"work": work, "load": load, "drip": drip})
