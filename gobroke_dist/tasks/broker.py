"""Dramatiq's Redis broker, with at most one visible message per ordering key."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, cast

import dramatiq
import redis
from dramatiq.broker import Consumer
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis, iter_queue
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware, Retries

from gobroke_dist.backends.redis.connection import connect_sync
from gobroke_dist.keys import QueueKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.registry import new_node_id
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.consumer import OrderedConsumer
from gobroke_dist.tasks.delivery import Delivered, Dispatch, OnCommitted, PutOff, Ticket
from gobroke_dist.tasks.hooks import Deliveries, default_middleware
from gobroke_dist.tasks.lease import Lease
from gobroke_dist.tasks.parcel import REDIS_ID, Parcel, enqueue_call, pack, postponed
from gobroke_dist.tasks.scripts import Argument, ScriptName, command, script
from gobroke_dist.tasks.shelf import Shelf

log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.02
_QUICK_RETRIES = 4


class OrderedBroker(RedisBroker):
    """For each queue and ordering key, message n+1 does not start before n is done (contract W2).

    What Dramatiq's tools read is where they expect it. A message names its key in the option ``order_key``;
    without one it is not ordered.

    Args:
        settings: where Redis is, and the times.
        middleware: instead of ``hooks.default_middleware()``.
        client: instead of a connection pool of its own.

    Attributes:
        settings: what it was made with.
        metrics: counts of messages recovered, duplicates, and settlements refused.
        on_committed: called on the worker thread after each commit with what is to be dispatched then.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        middleware: list[Middleware] | None = None,
        client: redis.Redis | None = None,
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            middleware=default_middleware() if middleware is None else middleware,
            namespace=settings.namespace,
            client=client or connect_sync(settings),
            dead_message_ttl=int(settings.dead_message_ttl * 1000),
            heartbeat_timeout=int(settings.worker_lease * 1000),
            maintenance_chance=0,
        )
        self.settings = settings
        self.metrics = Metrics()
        self.on_committed: OnCommitted | None = None
        self.draining = threading.Event()
        self.deliveries = Deliveries()
        self.blocking_client = connect_sync(settings, blocking=True)
        self._counting = threading.Lock()
        self._shelves: defaultdict[str, Shelf] = defaultdict(Shelf)
        self.lease = self._new_lease()
        self.add_middleware(self.deliveries)

    # --- queues --------------------------------------------------------------

    def declare_queue(self, queue_name: str) -> None:
        """As Dramatiq's, without a delay queue: what waits for a time, waits in Redis."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def keys(self, queue_name: str) -> QueueKeys:
        """The keys of a queue."""
        return QueueKeys(self.settings.prefix, queue_name)

    def shelf(self, queue_name: str) -> Shelf:
        """What this process holds of a queue."""
        return self._shelves[queue_name]

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """A consumer of one queue; ``timeout`` in milliseconds is how long it may wait before it answers None."""
        return OrderedConsumer(self, queue_name, prefetch, timeout)

    # --- sending -------------------------------------------------------------

    @property
    def window(self) -> int:
        """The dedup window, in milliseconds."""
        return int(self.settings.dedup_window * 1000)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Accept a message, at once or, from within the hooks of a message, in the step that settles that one.

        Raises:
            ConnectionClosed: it is not known to have been accepted; sending the same message again is safe.
        """
        current = self.deliveries.current
        if current is not None and cast(object, message) is current:
            return self._put_off(current, delay or 0)
        parcel = pack(message, delay=delay)
        self.emit_before("enqueue", parcel.message, delay)
        if current is not None and current.hooks_thread == threading.get_ident():
            current.effects.append(parcel)
            return parcel.message
        self._send(parcel)
        self.emit_after("enqueue", parcel.message, delay)
        return parcel.message

    def put_off(self, message: Delivered, delay: int) -> None:
        """Have a message retried ``delay`` milliseconds after it is settled."""
        again = postponed(message.message.copy(options={REDIS_ID: message.ticket.id}), delay)
        ticket = message.ticket
        message.put_off = PutOff(Parcel(message.queue_name, ticket.id, ticket.key, delay, again))

    def _put_off(self, message: Delivered, delay: int) -> dramatiq.Message[Any]:
        self.put_off(message, delay)
        assert message.put_off is not None
        again = message.put_off.parcel.message
        self.emit_before("enqueue", again, delay)
        return again

    def _send(self, parcel: Parcel) -> None:
        keys, args = enqueue_call(self.settings.prefix, [parcel], self.window)
        if not self.call("enqueue", keys, args):
            self.count("duplicates")

    def do_enqueue(self, queue_name: str, redis_message_id: str, data: bytes) -> None:
        """For tools that enqueue encoded messages with Dramatiq's own call."""
        message: dramatiq.Message[Any] = dramatiq.Message.decode(data)
        canonical = queue_name.removesuffix(".DQ")
        delay = None if queue_name == canonical else max(0, int(message.options.get("eta", 0)) - current_millis())
        parcel = pack(message.copy(queue_name=canonical), delay=delay)
        self._send(Parcel(canonical, redis_message_id, parcel.key, parcel.delay, parcel.message))

    # --- the queue as a whole ------------------------------------------------

    def do_qsize(self, queue_name: str) -> int:
        """How many messages wait, run or are delayed."""
        keys = self.keys(queue_name.removesuffix(".DQ"))
        return int(self.client.hlen(keys.messages)) + int(self.client.hlen(keys.delayed_messages))

    def do_purge(self, queue_name: str) -> None:
        """Drop what waits; see ``flush``."""
        self.flush(queue_name)

    def flush(self, queue_name: str) -> None:
        """Drop all messages that wait or are delayed. What runs is left to finish, and dead letters are kept."""
        queue = self.keys(queue_name.removesuffix(".DQ"))
        fixed = [
            *(queue.ready, queue.messages, queue.delayed_messages, queue.delayed_ready, queue.heads),
            *(queue.keys, queue.fences, queue.deliveries, queue.later, queue.bell),
        ]
        done = False
        while not done:
            taken = [cast(bytes, key).decode() for key in self.client.hkeys(queue.heads)]
            done = bool(self.call("flush", [*fixed, *(queue.lane(key) for key in taken)], taken))

    # --- this process as a worker --------------------------------------------

    def open_worker(self) -> None:
        """Begin as a worker that Redis has never seen; a fork must not share its parent's id."""
        self.lease.stop()
        self.broker_id = new_node_id(self.settings, "worker")
        self._shelves.clear()
        self.draining.clear()
        self.lease = self._new_lease()

    def drain_worker(self, worker: dramatiq.Worker) -> None:
        """Fetch nothing more, and give back what this process has fetched and not started."""
        self.draining.set()
        waiting: defaultdict[str, list[Ticket]] = defaultdict(list)
        for item in iter_queue(worker.work_queue):
            waiting[item.message.queue_name].append(item.message.ticket)
            worker.work_queue.task_done()
        for queue_name, tickets in waiting.items():
            try:
                self.give_back(queue_name, tickets)
            except ConnectionClosed as error:
                log.warning("%d messages of %s go back when the lease ends: %s", len(tickets), queue_name, error)

    def close_worker(self) -> None:
        """Give the lease up."""
        self.lease.stop()

    def give_back(self, queue_name: str, tickets: Sequence[Ticket]) -> None:
        """Return unstarted messages to the front of their queue, in their order. Raises ``ConnectionClosed``."""
        if not tickets:
            return
        queue = self.keys(queue_name)
        keys = [queue.acks(self.broker_id), queue.ready, queue.fences, queue.deliveries, queue.bell]
        args: list[Argument] = [part for ticket in tickets for part in (ticket.id, ticket.fence)]
        try:
            self.call("requeue", keys, args)
        except redis.ResponseError as error:
            raise ConnectionClosed(error) from None
        self.shelf(queue_name).remove(tickets)

    def close(self) -> None:
        """End the lease and the connections."""
        self.lease.stop()
        self.client.close()
        self.blocking_client.close()

    def committed(self, dispatches: list[Dispatch]) -> None:
        """Pass on what a committed message addressed to DISPATCHED logics."""
        if self.on_committed is None:
            log.error("%d messages for DISPATCHED logics are dropped: nobody runs those here", len(dispatches))
            self.count("dispatches_dropped", len(dispatches))
            return
        try:
            self.on_committed(dispatches)
        except Exception:
            log.exception("passing on %d messages for DISPATCHED logics failed", len(dispatches))

    @property
    def retries(self) -> bool:
        """Whether a message whose actor raised is tried again."""
        return any(isinstance(one, Retries) for one in self.middleware)

    def count(self, name: str, by: int = 1) -> None:
        """Count an event, from any thread."""
        if not by:
            return
        with self._counting:
            self.metrics.count(name, by)

    def _new_lease(self) -> Lease:
        return Lease(self.broker_id, self.settings, self.call, self.count)

    # --- calling Redis -------------------------------------------------------

    def call(self, name: ScriptName, keys: Sequence[str], args: Iterable[Argument]) -> Any:
        """Run a script; after a connection error again, quickly and a few times: they are all idempotent.

        Raises:
            ConnectionClosed: no answer.
            redis.ResponseError: Redis refused it.
        """
        pause = _FIRST_PAUSE
        deadline = time.monotonic() + self.settings.redis_timeout
        for attempt in range(_QUICK_RETRIES + 1):
            try:
                return self.call_once(name, keys, tuple(args))
            except (redis.ConnectionError, redis.TimeoutError) as error:
                if attempt == _QUICK_RETRIES or time.monotonic() >= deadline:
                    raise ConnectionClosed(error) from None
            time.sleep(pause)
            pause *= 3
        raise AssertionError("unreachable")

    def call_once(self, name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """Run a script, once. Raises what redis-py raises."""
        try:
            return self.client.evalsha(*command(name, keys, args))
        except redis.exceptions.NoScriptError:
            return self.client.eval(script(name).source, len(keys), *keys, *args)
