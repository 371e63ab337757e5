"""Hands the messages of one queue to Dramatiq's worker threads, and settles them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import cast

import redis
from dramatiq.broker import Broker, Consumer, MessageProxy
from dramatiq.errors import ConnectionClosed
from dramatiq.worker import _WorkQueueItem

from gobroke_dist.tasks.bell import Bell
from gobroke_dist.tasks.clerk import LAG, Clerk
from gobroke_dist.tasks.delivery import Delivered, Item, Settlement
from gobroke_dist.tasks.desk import BATCH
from gobroke_dist.tasks.endings import acknowledged, rejected
from gobroke_dist.tasks.hooks import Deliveries
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.station import Station
from gobroke_dist.tasks.wire import Wire
from gobroke_dist.tasks.work_queue import WorkQueue

log = logging.getLogger(__name__)

LONGEST_SLICE = 1.0
_DRAINING_SLICE = 0.02
_PATIENCE = 6

AHEAD = 16
"""Messages of one key that a process goes on with before it waits for answers."""

_FEW = 2  # messages in hand: then a key is the only one, or nearly
_QUICK = 0.005  # seconds that a message takes at most, to make it worth while


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
        self._clerk = Clerk(broker, link=link, station=station, queue_name=queue_name, at_once=station.threads)
        self._desk = self._clerk.desk
        self._wire = Wire(link.client)
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
            self._make_trips()
        except ConnectionClosed as error:
            log.warning("queue %s: not all is settled; it is when the lease ends: %s", self.queue_name, error)
        finally:
            self._desk.remove(tickets)
            self._wire.close()

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
            self._hear_late()
        return None

    def _hear_late(self) -> None:
        """Receive answers that nobody has received, because what came next takes long."""
        if self._desk.turn.acquire(blocking=False):
            try:
                self._hear_all()
            except redis.RedisError as error:
                self._recover(error)
            finally:
                self._desk.turn.release()

    def _fetch(self) -> None:
        if not self._desk.untold and not self._desk.wait_for_room(self.prefetch, self._slice):
            return
        if not self._desk.turn.acquire(timeout=self._slice):
            return
        try:
            self._rung = False
            items = self._trip()
        finally:
            self._desk.turn.release()
        self._fetched.extend(self._opened(items))

    def _drain(self) -> None:
        self._bell.close()
        tickets = [message.ticket for message in self._fetched]
        self._fetched.clear()
        self._station.give_back(self.queue_name, tickets)
        time.sleep(_DRAINING_SLICE)

    def _failed(self, error: Exception) -> None:
        self._bell.close()
        self._rung = True
        self._failures += 1
        if self._failures > _PATIENCE:
            raise ConnectionClosed(error) from None
        time.sleep(min(self._slice, 0.02 * 2**self._failures))

    # --- trips -------------------------------------------------------------------

    def _make_trips(self) -> None:
        """Tell Redis what is finished, until nothing is, or while another thread does. Raises ``ConnectionClosed``."""
        while self._desk.untold and self._desk.turn.acquire(blocking=False):
            try:
                items = self._trip()
            finally:
                self._desk.turn.release()
            self._hand_over(self._opened(items))

    def _trip(self) -> Sequence[Item]:
        """One exchange with Redis. Raises ``ConnectionClosed``: nothing is lost, and it is to be tried again."""
        try:
            self._hear_all()
            if not self._desk.in_step:
                self._clerk.repair()
            ahead = AHEAD if len(self._desk) <= _FEW else 0
            call = self._clerk.call(self.prefetch, batch=BATCH, ahead=ahead)
            return () if call is None else self._clerk.heard(self._wire.run("exchange", *call))
        except redis.RedisError as error:
            self._recover(error)
            return ()

    def _hear_all(self) -> None:
        """Receive the answers to all calls that are under way."""
        while self._desk.under_way and self._desk.in_step:
            self._clerk.heard(self._wire.receive())

    def _recover(self, error: Exception) -> None:
        """After an error on the way to Redis. Raises ``ConnectionClosed``: it lasts."""
        log.info("queue %s: %s; what is in doubt is told again", self.queue_name, error)
        self._wire.close()
        self._desk.in_step = False
        self._rung = True
        self._clerk.repair()

    def _go_on(self, message: Delivered, settlement: Settlement) -> bool:
        """Tell Redis of a message, and go on with the next of its key without waiting for the answer.

        Only where the answer is certain unless Redis or the way to it fails, and what would be waited for is most of
        the time that a message takes. Redis hears of the first before the second starts, even if this process is
        killed then: what is sent is on its way.

        Returns False if that can't be; then nothing was done.
        """
        if not self._may_go_on(message, settlement) or not self._desk.turn.acquire(blocking=False):
            return False
        try:
            if self._desk.unsaid or not self._desk.in_step:
                return False
            follower = message.followers.popleft()
            settlement.goes_on = follower.ticket
            self._desk.add([follower.ticket])
            try:
                self._wire.send("exchange", *self._clerk.call_ahead(settlement))
                if self._desk.under_way > LAG:
                    self._clerk.heard(self._wire.receive())
            except redis.RedisError as error:
                self._recover(error)
            if settlement.standing not in {None, "held", "done"}:
                self._desk.remove([follower.ticket])
                return True
            following = self._opened([follower])
        finally:
            self._desk.turn.release()
        for one in following:
            one.followers = message.followers
            self._keep(one)
        return True

    def _may_go_on(self, message: Delivered, settlement: Settlement) -> bool:
        return (
            bool(message.followers)
            and settlement.operation == "commit"
            and not message.after_commit
            and time.monotonic() - message.began < _QUICK
            and self._station.lease.is_held
            and not self._station.takes_nothing(self.queue_name)
            and not _others_wait_here()
        )

    def _keep(self, message: Delivered) -> None:
        """Hand a message to this very thread, if it is one of Dramatiq's."""
        queue, actor = _queue_of_this_thread(), self._broker.actors.get(message.actor_name)
        if queue is not None and actor is not None:
            queue.keep(_WorkQueueItem(actor.priority, message))
        else:
            self._hand_over([message])

    def _opened(self, items: Sequence[Item]) -> list[Delivered]:
        """Those that may run now."""
        opened = []
        for item in items:
            message = self._clerk.open(item)
            if message is not None and (message.unplaced is None or self._clerk.place(message, message.unplaced)):
                opened.append(message)
        return opened

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
        if delivered.settlement is None:
            settlement = acknowledged(self._broker, delivered)
            if delivered.followers and self._go_on(delivered, settlement):
                delivered.settlement = settlement
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
        if message.after_commit:
            message.told = threading.Event()
            settlement.told = message.told.set
        message.settlement = settlement
        self._desk.finish(settlement)

    def _settle(self, message: Delivered) -> None:
        """See to it that Redis is told. For what is to follow the commit, this thread waits: so it can't get ahead."""
        self._make_trips()
        if message.told is None:
            return
        if not message.told.wait(self._patience):
            raise ConnectionClosed(TimeoutError("a commit was not answered in time"))
        assert message.settlement is not None
        if message.settlement.passed_on is not None:
            message.settlement.passed_on.result()


def _others_wait_here() -> bool:
    queue = _queue_of_this_thread()
    return queue is not None and queue.others_wait


def _queue_of_this_thread() -> WorkQueue | None:
    """Where this thread gets its messages from, if it is one of Dramatiq's worker threads."""
    queue = getattr(threading.current_thread(), "work_queue", None)
    return queue if isinstance(queue, WorkQueue) else None
