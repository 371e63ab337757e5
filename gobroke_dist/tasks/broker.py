"""Dramatiq's Redis broker, with at most one visible message per ordering key."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import dramatiq
import redis
from dramatiq.broker import Consumer
from dramatiq.brokers.redis import RedisBroker
from dramatiq.common import current_millis
from dramatiq.middleware import Middleware, MiddlewareError

from gobroke_dist.errors import QueueFull
from gobroke_dist.keys import QueueKeys
from gobroke_dist.metrics import Metrics
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.clerk import Clerk
from gobroke_dist.tasks.consumer import OrderedConsumer
from gobroke_dist.tasks.delivery import Delivered, OnCommitted
from gobroke_dist.tasks.hooks import Deliveries, default_middleware
from gobroke_dist.tasks.lane import Lane, loop_for
from gobroke_dist.tasks.lane_consumer import LaneConsumer
from gobroke_dist.tasks.lease import Lease
from gobroke_dist.tasks.letters import DEAD_ID
from gobroke_dist.tasks.limits import room_of
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.parcel import Parcel, enqueue_call, pack, seal
from gobroke_dist.tasks.performer import Body
from gobroke_dist.tasks.revival import revive_call, revived_parcel
from gobroke_dist.tasks.signals import Signals
from gobroke_dist.tasks.starts import Starts
from gobroke_dist.tasks.station import Station


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
        link: the way to Redis.
        station: this process as a worker.
        deliveries: which message a thread is processing.
        coroutines: the body of each ``async def`` actor that may run on the event loop, by its name.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        middleware: list[Middleware] | None = None,
        client: redis.Redis | None = None,
    ) -> None:
        self.settings = settings
        self.link = Link(settings, client=client)
        self.station = Station(self.link)
        self.coroutines: dict[str, Body] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._signals = Signals()
        super().__init__(  # type: ignore[no-untyped-call]
            middleware=default_middleware() if middleware is None else middleware,
            namespace=settings.namespace,
            client=self.link.client,
            dead_message_ttl=int(settings.dead_message_ttl * 1000),
            heartbeat_timeout=int(settings.worker_lease * 1000),
            maintenance_chance=0,
        )
        self.deliveries = Deliveries(self.station)
        self._starts = Starts(self, self.link, self.station)
        self.add_middleware(self._starts)
        self.add_middleware(self.deliveries)

    # --- the worker ----------------------------------------------------------

    @property
    def broker_id(self) -> str:
        """This worker's id, in Dramatiq's keys as in the registry."""
        return self.station.id

    @broker_id.setter
    def broker_id(self, _: str) -> None:
        """Dramatiq makes one up; the station's counts."""

    @property
    def lease(self) -> Lease:
        """This worker's lease."""
        return self.station.lease

    @property
    def metrics(self) -> Metrics:
        """Counts of messages recovered, duplicates, and settlements refused."""
        return self.link.metrics

    @property
    def on_committed(self) -> OnCommitted | None:
        """Called on the worker thread after each commit with what is to be dispatched then."""
        return self.station.on_committed

    @on_committed.setter
    def on_committed(self, listener: OnCommitted | None) -> None:
        self.station.on_committed = listener

    # --- hooks ---------------------------------------------------------------

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """As Dramatiq's, past the middleware that does nothing in this hook."""
        for middleware, hook in self._signals.hooks(self.middleware, signal, args).before:
            try:
                hook(self, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception:
                self.logger.critical("Unexpected failure in before_%s of %r.", signal, middleware, exc_info=True)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """As Dramatiq's, past the middleware that does nothing in this hook."""
        for middleware, hook in self._signals.hooks(self.middleware, signal, args).after:
            try:
                hook(self, *args, **kwargs)
            except Exception:
                self.logger.critical("Unexpected failure in after_%s of %r.", signal, middleware, exc_info=True)

    # --- queues --------------------------------------------------------------

    def declare_queue(self, queue_name: str) -> None:
        """As Dramatiq's, without a delay queue: what waits for a time, waits in Redis."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def keys(self, queue_name: str) -> QueueKeys:
        """The keys of a queue."""
        return self.link.keys(queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """A consumer of one queue; ``timeout`` in milliseconds is how long it may wait before it answers None."""
        lane = self._lane(queue_name)
        if lane is not None:
            return LaneConsumer(lane, link=self.link, station=self.station, queue_name=queue_name, timeout=timeout)
        return OrderedConsumer(
            self,
            link=self.link,
            station=self.station,
            deliveries=self.deliveries,
            queue_name=queue_name,
            prefetch=prefetch,
            timeout=timeout,
        )

    def _lane(self, queue_name: str) -> Lane | None:
        """Where the queue's messages run, if that is the event loop."""
        name = self.station.id, queue_name
        body, loop = self.coroutines.get(queue_name), loop_for(self.middleware)
        if name not in self._lanes and body is not None and loop is not None:
            self._lanes[name] = self._new_lane(queue_name, body, loop)
        return self._lanes.get(name)

    def _new_lane(self, queue_name: str, body: Body, loop: asyncio.AbstractEventLoop) -> Lane:
        concurrency = self.actors[queue_name].options["concurrency"]
        return Lane(
            self,
            Clerk(
                self,
                link=self.link,
                station=self.station,
                queue_name=queue_name,
                at_once=concurrency,
                prefetch=concurrency,
                starts_all=True,
            ),
            body,
            loop=loop,
            link=self.link,
            deliveries=self.deliveries,
            starts=self._starts,
        )

    # --- sending -------------------------------------------------------------

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Accept a message, at once or, from within the hooks of a message, in the step that settles that one.

        A dead letter is made a message again: at its old place if its ordering key waits for it.

        Raises:
            ConnectionClosed: it is not known to have been accepted; sending the same message again is safe.
            QueueFull: the logic's ``max_waiting`` is reached. What a handler sends by the router is exempt.
        """
        current = self.deliveries.current
        if current is not None and cast(object, message) is current:
            return self._put_off(current, delay or 0)
        if DEAD_ID in message.options:
            return self._revive(message)
        parcel = pack(message, delay=delay)
        self.emit_before("enqueue", parcel.message, delay)
        if current is not None and current.hooks_thread == threading.get_ident():
            current.effects.append(parcel)
            return parcel.message
        self._send(parcel)
        self.emit_after("enqueue", parcel.message, delay)
        return parcel.message

    def _put_off(self, message: Delivered, delay: int) -> dramatiq.Message[Any]:
        again = message.postpone(delay).message
        self.emit_before("enqueue", again, delay)
        return again

    def _revive(self, message: dramatiq.Message[Any]) -> dramatiq.Message[Any]:
        parcel = revived_parcel(message)
        self.emit_before("enqueue", parcel.message, None)
        dead_id = str(message.options[DEAD_ID])
        call = revive_call(self.settings.prefix, parcel, message, dead_id=dead_id, must_be_dead=False)
        self.link.call("revive", *call)
        self.emit_after("enqueue", parcel.message, None)
        return parcel.message

    def _send(self, parcel: Parcel) -> None:
        limit = room_of(self, parcel.queue).limit
        keys, args = enqueue_call(self.keys(parcel.queue), [seal(parcel)], self.link.window, limit=limit)
        accepted, *refused = self.link.store("enqueue", keys, args)
        if refused:
            raise QueueFull(f"queue {parcel.queue!r}", limit or 0)
        if not accepted:
            self.link.count("duplicates")

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
            *(queue.keys, queue.fences, queue.deliveries, queue.later, queue.bell, queue.paused),
        ]
        done = False
        while not done:
            taken = [cast(bytes, key).decode() for key in self.client.hkeys(queue.heads)]
            done = bool(self.link.call("flush", [*fixed, *(queue.lane(key) for key in taken)], taken))

    def close(self) -> None:
        """End the lease and the connections."""
        self.station.close()
        self.link.close()
