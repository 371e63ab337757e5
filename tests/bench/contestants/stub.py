"""Dramatiq's StubBroker: the same worker without any Redis. What Dramatiq itself costs, and the upper bound."""

from __future__ import annotations

import dramatiq
from dramatiq.brokers.stub import StubBroker

from tests.bench.board import Slot
from tests.bench.contestants.roles import main, until_told
from tests.bench.contestants.stock import declare
from tests.bench.job import Job


def work(job: Job) -> None:
    """One process that sends to itself before it starts to work."""
    slot = Slot(job.board)
    broker = StubBroker()
    actor = declare(job, broker, slot)
    text = job.text
    for _ in range(job.messages):
        actor.send(text)
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, worker_threads=job.threads)
    slot.wait_for_go()
    worker.start()
    until_told()
    worker.stop(timeout=2000)


if __name__ == "__main__":
    main({"work": work})
