"""A worker's lease: renewed while it lives, and its messages taken by others when it does not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from dramatiq.errors import ConnectionClosed

from gobroke_dist.keys import QueueKeys
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.scripts import Argument, ScriptName

log = logging.getLogger(__name__)

RENEWALS = 6
"""Renewals in the time of one lease."""


class Caller(Protocol):
    """Runs a script. Raises ``ConnectionClosed``."""

    def __call__(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any: ...


class Lease:
    """One worker's, for all of its queues, with a thread of its own.

    Args:
        worker: its id, never used before.
        settings: ``worker_lease``, ``dead_message_ttl``, ``prefix``.
        call: runs a script.
        count: counts an event.
    """

    def __init__(self, worker: str, settings: Settings, call: Caller, count: Callable[[str, int], None]) -> None:
        self.worker = worker
        self._settings = settings
        self._call = call
        self._count = count
        self._queues: dict[str, QueueKeys] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._rescue_from = 0.0
        self._held_until = 0.0

    @property
    def milliseconds(self) -> int:
        """How long one renewal holds."""
        return int(self._settings.worker_lease * 1000)

    @property
    def is_held(self) -> bool:
        """Whether this worker's messages are certainly its own, as far as it can tell without asking."""
        return time.monotonic() < self._held_until

    def cover(self, queue: str) -> None:
        """Hold the lease for one more queue, from now on.

        Raises:
            ConnectionClosed: Redis did not confirm it.
        """
        with self._lock:
            self._queues.setdefault(queue, QueueKeys(self._settings.prefix, queue))
            self._start()
        self.renew()

    def renew(self) -> list[str]:
        """Renew now. Returns the workers whose messages this one should take. Raises ``ConnectionClosed``."""
        with self._lock:
            queues = dict(self._queues)
            if self._stopping.is_set() or not queues:
                return []
            any_queue = next(iter(queues.values()))
            keys = [any_queue.heartbeats, any_queue.worker_queues(self.worker)]
            for queue in queues.values():
                keys += self._queue_keys(queue)
            ttl = int(self._settings.dead_message_ttl * 1000)
            asked = time.monotonic()
            late, gone = self._call("renew", keys, [self.worker, self.milliseconds, ttl, *queues])
            self._held_until = asked + self._settings.worker_lease
            if late:
                # Perhaps Redis stood still, and the others are as late as this worker: let them renew first.
                log.warning("the worker's lease had run out; it is renewed")
                self._count("leases_late", 1)
                self._rescue_from = time.monotonic() + self._settings.worker_lease / 2
            return [] if time.monotonic() < self._rescue_from else [name.decode() for name in gone]

    def stop(self) -> None:
        """End the thread and give the lease up. What is still held is taken by others."""
        with self._lock:
            self._stopping.set()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(self._settings.redis_timeout * 2)
        with self._lock:
            self._leave()

    def _start(self) -> None:
        if self._thread is None and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.worker_lease / RENEWALS):
            try:
                for name in self.renew():
                    self._rescue(name)
            except ConnectionClosed as error:
                log.warning("the worker's lease was not renewed: %s", error)
            except Exception:
                log.exception("renewing the worker's lease failed; it is tried again")

    def _rescue(self, dead: str) -> None:
        for name, queue in list(self._queues.items()):
            keys = [
                *(queue.heartbeats, queue.worker_queues(dead), queue.acks(dead)),
                *(queue.ready, queue.fences, queue.deliveries, queue.bell, queue.done(dead), queue.later),
            ]
            taken = self._call("recover", keys, [dead, self.milliseconds, name])
            if taken > 0:
                log.warning("took %d messages of queue %s from worker %s, which is gone", taken, name, dead)
                self._count("messages_recovered", taken)

    def _leave(self) -> None:
        if not self._queues:
            return
        any_queue = next(iter(self._queues.values()))
        keys = [any_queue.heartbeats, any_queue.worker_queues(self.worker)]
        for queue in self._queues.values():
            keys += [queue.acks(self.worker), queue.done(self.worker)]
        try:
            self._call("leave", keys, [self.worker])
        except ConnectionClosed as error:
            log.warning("the worker's lease was not given up, it will run out: %s", error)

    def _queue_keys(self, queue: QueueKeys) -> list[str]:
        return [
            *(queue.ready, queue.later, queue.bell, queue.delayed_ready, queue.delayed_messages),
            *(queue.dead, queue.dead_messages, queue.done(self.worker)),
        ]
