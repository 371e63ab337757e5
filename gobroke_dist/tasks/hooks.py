"""The middleware of an ordered queue."""

from __future__ import annotations

import contextlib
import threading
import time
from contextvars import ContextVar
from typing import Any

from dramatiq import Broker, Worker
from dramatiq.asyncio import EventLoopThread, set_event_loop_thread
from dramatiq.broker import MessageProxy
from dramatiq.middleware import (
    AgeLimit,
    AsyncIO,
    Callbacks,
    CurrentMessage,
    Middleware,
    Pipelines,
    Retries,
    ShutdownNotifications,
    TimeLimit,
)
from dramatiq.worker import ConsumerThread

from gobroke_dist.tasks.delivery import Delivered
from gobroke_dist.tasks.station import Station
from gobroke_dist.tasks.work_queue import WorkQueue

_LOOP_STARTS_WITHIN = 5.0
MAX_RETRIES = 4
MIN_BACKOFF = 200
MAX_BACKOFF = 30_000


def default_middleware() -> list[Middleware]:
    """Dramatiq's own, with retries that fit a queue in which others wait behind the one that failed."""
    return [
        AgeLimit(),
        TimeLimit(),
        ShutdownNotifications(),
        Callbacks(),
        Pipelines(),
        Retries(max_retries=MAX_RETRIES, min_backoff=MIN_BACKOFF, max_backoff=MAX_BACKOFF),
        EventLoop(),
        CurrentMessage(),
    ]


class EventLoop(AsyncIO):
    """Dramatiq's, with a faster loop where there is one."""

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """A worker starts."""
        thread = EventLoopThread(self.logger)
        with contextlib.suppress(ImportError):
            import uvloop  # noqa: PLC0415 - not on every platform

            thread.loop.close()
            thread.loop = uvloop.new_event_loop()
        thread.start(timeout=_LOOP_STARTS_WITHIN)
        set_event_loop_thread(thread)


class Deliveries(Middleware):
    """Knows which message a thread is processing, and opens and closes the worker's station.

    It is the last middleware, so its after-hooks run first: what the others enqueue in theirs is part of the
    step that settles the message.

    Args:
        station: this process as a worker.
    """

    def __init__(self, station: Station) -> None:
        self._station = station
        self._current: ContextVar[Delivered | None] = ContextVar("delivery", default=None)

    @property
    def current(self) -> Delivered | None:
        """What this thread, or this task of the event loop, is processing."""
        return self._current.get()

    def forget(self, message: Delivered) -> None:
        """The message is settled."""
        message.hooks_thread = None
        self._current.set(None)

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Note the message."""
        if isinstance(message, Delivered):
            self._current.set(message)
            message.began = time.monotonic()

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """The actor has ended. What it sent counts only if nothing was raised, be it after its last line."""
        if isinstance(message, Delivered):
            message.hooks_thread = threading.get_ident()
            if exception is not None:
                message.effects.clear()
                message.after_commit.clear()

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """A worker starts."""
        self._station.open()
        worker.work_queue = WorkQueue()

    def after_consumer_thread_boot(self, broker: Broker, thread: ConsumerThread) -> None:
        """Messages that come with the answer to a settlement go through it to the worker threads."""
        self._station.consumer_threads[thread.queue_name] = thread

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Give back at once what has not been started; long handlers may hold the shutdown up."""
        self._station.drain(worker)

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Nothing runs any more."""
        self._station.close()
