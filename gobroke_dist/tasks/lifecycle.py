"""A worker process, from boot to shutdown: ours or stock ``dramatiq``'s."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import Middleware, MiddlewareError

from gobroke_dist.errors import BrokeError, CouldNotStartProcessor


class BootFailed(MiddlewareError):
    """The one kind of error that Dramatiq lets end a process that boots. The cause is attached.

    With any other it would go on, and this process would fail every message that it takes, until each is dead.
    """


class WorkerLifecycle(Middleware):
    """Tells the worker role when its process boots and ends. Stands behind Dramatiq's AsyncIO middleware.

    Args:
        boot: called with the event loop on which ``async def`` actors run, before any message is fetched.
        shutdown: called when the last message is done, while that loop still runs.
    """

    def __init__(self, *, boot: Callable[[asyncio.AbstractEventLoop], None], shutdown: Callable[[], None]) -> None:
        self._boot = boot
        self._shutdown = shutdown

    def before_worker_boot(self, broker: Any, worker: Any) -> None:
        try:
            self._start()
        except Exception as error:
            raise BootFailed(str(error)) from error

    def _start(self) -> None:
        thread = get_event_loop_thread()
        if thread is None:
            raise CouldNotStartProcessor("the broker lacks Dramatiq's AsyncIO middleware; add it before this one")
        self._boot(thread.loop)

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        self._shutdown()


def start_worker(broker: dramatiq.Broker, *, threads: int, queues: set[str] | None = None) -> dramatiq.Worker:
    """Consume from this process's threads. Returns when messages are being fetched.

    Raises:
        BrokeError: as the process's own boot did; nothing was fetched.
    """
    broker.emit_after("process_boot")
    worker = dramatiq.Worker(broker, queues=queues, worker_threads=threads)
    try:
        worker.start()
    except BootFailed as error:
        broker.emit_after("worker_shutdown", worker)
        broker.close()
        if isinstance(error.__cause__, BrokeError):
            raise error.__cause__ from None
        raise
    return worker


def stop_worker(worker: dramatiq.Worker, *, timeout: float) -> None:
    """Finish what runs, ``timeout`` seconds at most, and put the rest back in its place."""
    worker.stop(timeout=int(timeout * 1000))
    worker.broker.close()


def make_default(broker: dramatiq.Broker) -> None:
    """What stock ``dramatiq module:attribute`` asks of an application that it calls."""
    dramatiq.set_broker(broker)
