"""Hands the messages of one queue to Dramatiq's worker threads, and settles them."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import cast

import redis
from dramatiq.broker import Broker, Consumer, MessageProxy
from dramatiq.errors import ConnectionClosed

from gobroke_dist.tasks.bell import DRAINING_SLICE, LONGEST_SLICE, Bell, pause_after
from gobroke_dist.tasks.clerk import Clerk
from gobroke_dist.tasks.delivery import Delivered, Settlement
from gobroke_dist.tasks.endings import acknowledged, rejected
from gobroke_dist.tasks.hooks import Deliveries
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.station import Station
from gobroke_dist.tasks.trips import Trips

log = logging.getLogger(__name__)

_PATIENCE = 6


class OrderedConsumer(Consumer):
    """One queue's consumer. Dramatiq's consumer thread iterates; its worker threads settle.

    A worker thread that has finished a message makes the trip for all threads that have, unless another is under way:
    then that thread tells Redis of this message too, in its next one. Each trip also brings new messages, which go
    straight to the worker threads. So the consumer thread is needed only while there is nothing to settle.

    Args:
        broker: whose hooks are called.
        link: the way to Redis.
        station: this process as a worker.
        deliveries: which message a thread is processing.
        queue_name: which queue.
        prefetch: how many messages this process may hold at once.
        timeout: milliseconds after which an idle ``__next__`` answers None.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        link: Link,
        station: Station,
        deliveries: Deliveries,
        queue_name: str,
        prefetch: int,
        timeout: int,
    ) -> None:
        self.queue_name = queue_name
        self.prefetch = prefetch
        self._broker = broker
        self._station = station
        self._deliveries = deliveries
        self._clerk = Clerk(
            broker, link=link, station=station, queue_name=queue_name, at_once=station.threads, prefetch=prefetch
        )
        self._desk = self._clerk.desk
        self._trips = Trips(broker, self._clerk, link=link, station=station, hand_over=self._hand_over)
        self._patience = link.settings.redis_timeout * 2
        self._bell = Bell(link.blocking_client, link.keys(queue_name).bell, grace=link.settings.redis_timeout)
        self._slice = min(timeout / 1000, LONGEST_SLICE)
        self._fetched: deque[Delivered] = deque()
        self._rung = True  # there may be something to fetch
        self._failures = 0

    # --- the consumer thread -----------------------------------------------------

    def __next__(self) -> MessageProxy | None:
        try:
            if self._station.draining.is_set():
                self._drain()
                return None
            message = self._next()
        except (redis.RedisError, ConnectionClosed) as error:
            self._failed(error)
            return None
        self._failures = 0
        return message

    def close(self) -> None:
        """Give back what was fetched and not handed out, and tell Redis what it does not know yet."""
        self._bell.close()
        tickets = [message.ticket for message in self._fetched]
        self._fetched.clear()
        try:
            self._station.give_back(self.queue_name, tickets)
            self._trips.tell()
        except ConnectionClosed as error:
            log.warning("queue %s: not all is settled; it is when the lease ends: %s", self.queue_name, error)
        finally:
            self._desk.remove(tickets)
            self._trips.close()

    def _next(self) -> MessageProxy | None:
        if not self._fetched and (self._rung or self._desk.untold or not self._desk.in_step):
            self._fetch()
        if self._fetched:
            return self._fetched.popleft()
        if self._rung:
            return None
        if not self._bell.armed:
            self._bell.arm(self._desk.due - time.monotonic())
        self._rung = self._bell.wait(self._slice)
        if self._desk.under_way:
            self._trips.hear_late()
        return None

    def _fetch(self) -> None:
        if not self._desk.untold and not self._desk.wait_for_room(self.prefetch, self._slice):
            return
        self._rung = not self._trips.fetch(self._slice) or not self._desk.in_step

    def _drain(self) -> None:
        self._bell.close()
        tickets = [message.ticket for message in self._fetched]
        self._fetched.clear()
        self._station.give_back(self.queue_name, tickets)
        time.sleep(DRAINING_SLICE)

    def _failed(self, error: Exception) -> None:
        self._bell.close()
        self._rung = True
        self._failures += 1
        if self._failures > _PATIENCE:
            raise ConnectionClosed(error) from None
        time.sleep(pause_after(self._failures, self._slice))

    def _hand_over(self, messages: Sequence[Delivered]) -> None:
        thread = self._station.consumer_threads.get(self.queue_name)
        for message in messages:
            if thread is None:
                self._fetched.append(message)
            else:
                thread.handle_message(message)

    # --- settling ------------------------------------------------------------------

    def ack(self, message: MessageProxy) -> None:
        """Commit a message with all that its handler sent, or put it off when it is to be retried.

        Raises:
            ConnectionClosed: not known to be done; calling again is safe.
        """
        delivered = cast(Delivered, message)
        if delivered.stolen:
            self._clerk.disown([delivered.ticket])
            return
        if delivered.settlement is None:
            if delivered.began:
                self._desk.took(time.monotonic() - delivered.began)
            settlement = acknowledged(self._broker, delivered)
            if delivered.followers and self._trips.go_on(delivered, settlement):
                self._deliveries.forget(delivered)
                return
            self._finish(settlement, delivered)
        self._settle(delivered)

    def nack(self, message: MessageProxy) -> None:
        """Make a message a dead letter. Raises ``ConnectionClosed`` as ``ack``."""
        delivered = cast(Delivered, message)
        if delivered.settlement is None:
            self._finish(rejected(self._broker, delivered), delivered)
        self._settle(delivered)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back messages that were not started."""
        self._station.give_back(self.queue_name, [cast(Delivered, message).ticket for message in messages])

    def _finish(self, settlement: Settlement, message: Delivered) -> None:
        self._deliveries.forget(message)
        message.settlement = settlement
        self._desk.finish(settlement)

    def _settle(self, message: Delivered) -> None:
        """See to it that Redis is told.

        Wait for that, unless messages are quick: then no more of them have begun and are not told than there are
        threads, by which ``recover.lua`` knows what a process that died had begun.
        """
        if self._trips.is_handing_over:  # a message without an actor
            return
        self._trips.tell()
        settlement = message.settlement
        assert settlement is not None
        if self._desk.is_quick and not message.after_commit:
            return
        if not self._desk.wait_until_told(settlement, self._patience):
            raise ConnectionClosed(TimeoutError("a settlement was not answered in time"))
        if settlement.passed_on is not None:
            settlement.passed_on.result()
