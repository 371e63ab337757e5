"""A worker process for tests: ``python -m tests.tasks.program URL PREFIX LEASE [ATTEMPTS]``; it logs to a Redis list.

A payload may say: ``sleep`` seconds, ``die`` (the process kills itself after sending, at the first attempt; with
``"always"`` at every one).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import dramatiq
import redis

from gobroke_dist.message import Message
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.transaction import Transaction
from tests.tasks.conftest import Chat, declare


def main(url: str, prefix: str, lease: str, attempts: str = "5") -> None:
    """Work until SIGTERM."""
    broker = OrderedBroker(Settings(redis_url=url, prefix=prefix, worker_lease=float(lease), redis_timeout=2.0))
    log = redis.Redis.from_url(url)

    def handle(message: Message, transaction: Transaction) -> None:
        body = message.json()
        name, attempt = f"{body['key']}:{body['n']}", message.delivery.attempt
        log.rpush(f"{prefix}:log", f"start {name} {int(message.delivery.recovered)}")
        time.sleep(body.get("sleep", 0))
        transaction.send(name.encode(), ("c",))
        if body.get("die") == "always" or (body.get("die") and attempt == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        log.rpush(f"{prefix}:log", f"end {name} {int(message.delivery.recovered)}")

    declare(broker, handle, Chat(max_attempts=int(attempts)))
    worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=100)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    worker.start()
    log.rpush(f"{prefix}:up", str(os.getpid()))
    stop.wait()
    worker.stop(timeout=10_000)
    broker.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
