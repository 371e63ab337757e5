"""Taskiq on Redis Streams, which acknowledge as ours does, or on a list, which is faster and loses what runs."""

from __future__ import annotations

import asyncio
import os
import sys

from taskiq import AsyncBroker, TaskiqEvents
from taskiq_redis import ListQueueBroker, RedisStreamBroker

from tests.bench.board import Slot
from tests.bench.contestants.roles import dripped_async, handler, main, run, timed_async
from tests.bench.job import Job, current


def make(job: Job, slot: Slot | None) -> AsyncBroker:
    """The broker, with its task; without a slot, for sending only."""
    made: AsyncBroker
    if os.environ.get("BENCH_TASKIQ") == "list":
        made = ListQueueBroker(job.url, queue_name="bench")
    else:
        made = RedisStreamBroker(job.url, queue_name="bench")
    handle = handler(job, slot) if slot else print
    if job.handler == "async":

        @made.task(task_name="bench")
        async def bench_async(payload: str) -> None:
            handle(payload)

    else:

        @made.task(task_name="bench")
        def bench(payload: str) -> None:
            handle(payload)

    if slot is not None:

        async def ready(_: object) -> None:
            await asyncio.get_running_loop().run_in_executor(None, slot.wait_for_go)

        made.add_event_handler(TaskiqEvents.WORKER_STARTUP, ready)
    return made


def work(job: Job) -> None:
    """All worker processes, by Taskiq's own command."""
    count = (f"--workers={job.processes}", f"--max-threadpool-threads={job.threads}")
    command = ("-m", "taskiq", "worker", f"{__spec__.name}:broker", *count, "--log-level=ERROR")
    os.execv(sys.executable, (sys.executable, *command))


def load(job: Job) -> None:
    """Send all with ``kiq()``."""
    run(_sending(job, timed_async))


def drip(job: Job) -> None:
    """Send single messages."""
    run(_sending(job, dripped_async))


async def _sending(job: Job, how: object) -> None:
    made = make(job, None)
    await made.startup()
    task = made.find_task("bench")
    await how(job, lambda _, text: task.kiq(text))
    await made.shutdown()


if __name__ == "__main__":
    main({"work": work, "load": load, "drip": drip})
else:
    broker = make(current(), Slot(current().board))
