"""arq: coroutines only. As many jobs at once as its documentation allows for short ones, and no results kept."""

from __future__ import annotations

import asyncio
from typing import Any

from arq.connections import RedisSettings, create_pool
from arq.worker import Worker, func

from tests.bench.board import Slot
from tests.bench.contestants.roles import dripped_async, handler, main, run, timed_async
from tests.bench.job import Job

_MAX_JOBS = 100


def work(job: Job) -> None:
    """One worker process."""
    slot = Slot(job.board)
    handle = handler(job, slot)

    async def bench(_: dict[Any, Any], payload: str) -> None:
        handle(payload)

    async def ready(_: dict[Any, Any]) -> None:
        await asyncio.get_running_loop().run_in_executor(None, slot.wait_for_go)

    worker = Worker(
        [func(bench, name="bench", keep_result=0)],
        redis_settings=RedisSettings.from_dsn(job.url),
        max_jobs=_MAX_JOBS,
        on_startup=ready,
        handle_signals=True,
    )
    worker.run()


def load(job: Job) -> None:
    """Send all with ``enqueue_job()``."""
    run(_sending(job, timed_async))


def drip(job: Job) -> None:
    """Send single messages."""
    run(_sending(job, dripped_async))


async def _sending(job: Job, how: Any) -> None:
    pool = await create_pool(RedisSettings.from_dsn(job.url))
    await how(job, lambda _, text: pool.enqueue_job("bench", text))
    await pool.aclose()


if __name__ == "__main__":
    main({"work": work, "load": load, "drip": drip})
