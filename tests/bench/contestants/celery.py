"""Celery: its "optimizing" page's advice for many short tasks: a high prefetch, no results, no gossip or heartbeats."""

from __future__ import annotations

from celery import Celery
from celery.signals import worker_process_init

from tests.bench.board import Slot
from tests.bench.contestants.roles import dripped, handler, main, timed
from tests.bench.job import Job

_PREFETCH_MULTIPLIER = 128


def make(job: Job, slot: Slot | None) -> tuple[Celery, object]:
    """The application and its task; without a slot, for sending only."""
    app = Celery("bench", broker=job.url)
    app.conf.update(
        task_ignore_result=True,
        worker_prefetch_multiplier=_PREFETCH_MULTIPLIER,
        broker_connection_retry_on_startup=True,
        worker_send_task_events=False,
        task_default_queue="bench",
    )
    handle = handler(job, slot) if slot else print

    @app.task(name="bench")
    def bench(payload: str) -> None:
        handle(payload)

    return app, bench


def work(job: Job) -> None:
    """All worker processes: the main one, and ``job.processes`` that run tasks."""
    slot = Slot(job.board)
    app, _ = make(job, slot)
    worker_process_init.connect(lambda **_: slot.wait_for_go(), weak=False)
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR")
    app.worker_main(["worker", f"--concurrency={job.processes}", "--pool=prefork", *quiet])


def load(job: Job) -> None:
    """Send all with ``delay()``."""
    _, task = make(job, None)
    timed(job, lambda _, text: task.delay(text))


def drip(job: Job) -> None:
    """Send single messages."""
    _, task = make(job, None)
    dripped(job, lambda _, text: task.delay(text))


if __name__ == "__main__":
    main({"work": work, "load": load, "drip": drip})
