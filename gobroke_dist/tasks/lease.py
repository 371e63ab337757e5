"""A worker's lease: renewed while it lives, and its messages taken by others when it does not."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import redis
from dramatiq.errors import ConnectionClosed

from gobroke_dist.keys import QueueKeys
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.scripts import Argument, ScriptName

log = logging.getLogger(__name__)

RENEWALS = 5
"""Renewals in the time of one lease."""

SPREAD = 0.05
"""Seconds within which all wake up for the end of one lease, so that they do not ask Redis in the same instant."""


class Caller(Protocol):
    """Runs a script. Raises ``ConnectionClosed``."""

    def __call__(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any: ...


class Found(NamedTuple):
    """What a renewal found about the other workers of this one's queues.

    Attributes:
        look_in: seconds until there may be messages to take, if none of them renews; infinity: there is no other.
        bereft: the queues that have a worker whose lease has run out.
    """

    look_in: float = math.inf
    bereft: tuple[str, ...] = ()


class Lease:
    """One worker's, for all of its queues, with a thread of its own.

    The thread wakes up to renew, and in the instant in which the lease of another worker of its queues ends: that
    instant comes only if that worker has missed its renewals.

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
        self._interval = settings.worker_lease / RENEWALS
        self._queues: dict[str, QueueKeys] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._answered: float | None = None
        self._until = 0.0
        self._doubtful: dict[str, int] = {}
        self._rescue_from = 0.0

    @property
    def milliseconds(self) -> int:
        """How long one renewal holds."""
        return int(self._settings.worker_lease * 1000)

    def cover(self, queue: str) -> None:
        """Hold the lease for one more queue, from now on.

        Raises:
            ConnectionClosed: Redis did not confirm it.
        """
        with self._lock:
            self._queues.setdefault(queue, QueueKeys(self._settings.prefix, queue))
            self._start()
        self.renew()

    def renew(self) -> Found:
        """Renew now. Raises ``ConnectionClosed``."""
        with self._lock:
            if self._stopping.is_set() or not self._queues:
                return Found()
            asked = time.monotonic()
            since, ends, bereft, fences = self._call("renew", *self._renewal())
            self._learn(self._age(since, asked), asked, fences)
            wait = self._rescue_from - time.monotonic()
            look_in = math.inf if ends < 0 else ends / 1000
            if wait > 0:
                return Found(max(wait, 0.0 if bereft else look_in))
            return Found(look_in, tuple(name.decode() for name in bereft))

    def doubts(self, queue: str, fence: int) -> bool:
        """Whether a message may be another worker's by now, because the lease may have run out since it was fetched."""
        return time.monotonic() > self._until or fence <= self._doubtful.get(queue, 0)

    def rescue(self, queues: Sequence[str]) -> None:
        """Take the messages of all workers of these queues whose lease has run out, until the next renewal is due.

        Raises:
            ConnectionClosed: not all is done; whoever calls next goes on with it.
        """
        until = time.monotonic() + self._interval
        dead: dict[str, list[str]] = {queue: [] for queue in queues}
        while dead:
            dead = {queue: left for queue, workers in dead.items() if (left := self._take(queue, workers))}
            if time.monotonic() > until:
                return

    def stop(self) -> None:
        """End the thread and give the lease up. What is still held goes back."""
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
        # A worker that is new takes nothing before those that Redis has just come back to had time to renew.
        pause = self._interval / 2
        while not self._stopping.wait(pause):
            try:
                pause = self._turn()
            except ConnectionClosed as error:
                log.warning("the worker's lease was not renewed: %s", error)
                pause = self._interval / 4
            except Exception:
                log.exception("renewing the worker's lease failed; it is tried again")
                pause = self._interval

    def _turn(self) -> float:
        """Renew, and take what is to be taken. Returns for how many seconds there is nothing to do then."""
        found = self.renew()
        renewed = time.monotonic()
        self.rescue(found.bereft)
        pause = min(self._interval, found.look_in + random.uniform(0, SPREAD))  # noqa: S311 - no secret
        return max(0.0, renewed + pause - time.monotonic())

    def _age(self, since: int, asked: float) -> float:
        """Seconds from the renewal before to this one, by Redis or by the answers, whichever is more.

        Redis alone may not know: after it stood still, it first carries out what was sent by who gave up waiting.
        """
        if self._answered is None:
            return 0.0
        return math.inf if since < 0 else max(since / 1000, asked - self._answered)

    def _learn(self, age: float, asked: float, fences: Sequence[int]) -> None:
        """Note what follows from a renewal that came so many seconds after the one before."""
        lease = self._settings.worker_lease
        if age > lease or asked > self._until:
            self._doubtful = dict(zip(self._queues, fences, strict=True))
        self._until, self._answered = asked + lease, time.monotonic()
        # Perhaps Redis stood still, and the others are as late as this worker: let them renew before taking anything.
        if age > lease:
            log.warning("the worker's lease had run out; it is renewed")
            self._count("leases_late", 1)
            self._rescue_from = self._answered + lease / 2
        elif age > 2 * self._interval:
            self._rescue_from = max(self._rescue_from, self._answered + self._interval / 2)

    def _take(self, name: str, dead: Sequence[str]) -> list[str]:
        """Take a part of what these workers hold of a queue. Returns who is dead now."""
        queue = self._queues[name]
        keys = [queue.heartbeats, queue.workers, queue.ready, queue.fences, queue.deliveries, queue.bell, queue.later]
        for worker in dead:
            keys += (queue.acks(worker), queue.done(worker))
        taken, left = self._call("recover", keys, [self.milliseconds, *dead])
        if taken:
            more = f" or {len(dead) - 1} others" if len(dead) > 1 else ""
            log.warning("took %d messages of queue %s from worker %s%s, which is gone", taken, name, dead[0], more)
            self._count("messages_recovered", taken)
        return [worker.decode() for worker in left]

    def _leave(self) -> None:
        if not self._queues:
            return
        keys = [self._heartbeats]
        for queue in self._queues.values():
            keys += (queue.workers, queue.acks(self.worker), queue.done(self.worker))
        try:
            if self._call("leave", keys, [self.worker]):
                self._give_back()
        except (ConnectionClosed, redis.ResponseError) as error:
            log.warning("the worker's lease was not given up, it will run out: %s", error)

    def _give_back(self) -> None:
        for name in self._queues:
            while self.worker in self._take(name, [self.worker]):
                pass

    @property
    def _heartbeats(self) -> str:
        return next(iter(self._queues.values())).heartbeats

    def _renewal(self) -> tuple[list[str], list[Argument]]:
        keys = [self._heartbeats]
        for queue in self._queues.values():
            keys += self._queue_keys(queue)
        ttl = int(self._settings.dead_message_ttl * 1000)
        return keys, [self.worker, self.milliseconds, ttl, *self._queues]

    def _queue_keys(self, queue: QueueKeys) -> list[str]:
        return [
            *(queue.workers, queue.ready, queue.later, queue.bell, queue.delayed_ready, queue.delayed_messages),
            *(queue.dead, queue.dead_messages, queue.done(self.worker), queue.counters),
        ]
