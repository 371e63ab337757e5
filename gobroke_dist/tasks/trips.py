"""Trips to Redis that worker threads make: each for all threads that have something to tell."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import redis
from dramatiq.broker import Broker
from dramatiq.errors import ConnectionClosed
from dramatiq.worker import _WorkQueueItem

from gobroke_dist.tasks.clerk import LAG, Clerk
from gobroke_dist.tasks.delivery import Delivered, Item, Settlement
from gobroke_dist.tasks.desk import BATCH
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.station import Station
from gobroke_dist.tasks.wire import Wire
from gobroke_dist.tasks.work_queue import WorkQueue

log = logging.getLogger(__name__)

AHEAD = 128
"""Messages of one key that a process is shown in advance."""

_FEW = 2  # messages in hand: then a key is the only one, or nearly


class Trips:
    """One consumer's.

    Args:
        broker: whose actors run.
        clerk: writes the calls and reads the answers.
        link: the way to Redis.
        station: this process as a worker.
        hand_over: takes messages that may run.
    """

    def __init__(
        self,
        broker: Broker,
        clerk: Clerk,
        *,
        link: Link,
        station: Station,
        hand_over: Callable[[Sequence[Delivered]], None],
    ) -> None:
        self._broker = broker
        self._clerk = clerk
        self._desk = clerk.desk
        self._station = station
        self._hand_over = hand_over
        self._wire = Wire(link.client)
        self._handing_over: int | None = None

    def close(self) -> None:
        """Drop the connection."""
        self._wire.close()

    def tell(self) -> None:
        """Tell Redis what is finished, until nothing is, or while another thread does. Raises ``ConnectionClosed``."""
        while self._desk.untold and self._desk.turn.acquire(blocking=False):
            try:
                self._make_one()
            finally:
                self._desk.turn.release()

    def fetch(self, timeout: float) -> bool:
        """Make a trip. False: another thread has been making trips for all of ``timeout`` seconds.

        Raises:
            ConnectionClosed: nothing is lost, and it is to be tried again.
        """
        if not self._desk.turn.acquire(timeout=timeout):
            return False
        try:
            self._make_one()
        finally:
            self._desk.turn.release()
        self.tell()
        return True

    def _make_one(self) -> None:
        """What comes back is handed over before the next trip, so that messages start in the order of their fences."""
        items = self._trip()
        self._handing_over = threading.get_ident()
        try:
            self._hand_over(self._opened(items))
        finally:
            self._handing_over = None

    @property
    def is_handing_over(self) -> bool:
        """Whether this very thread has a turn: what it finds to tell now goes with its next trip."""
        return self._handing_over == threading.get_ident()

    def hear_late(self) -> None:
        """Receive answers that nobody has received, because what came next takes long."""
        if self._desk.turn.acquire(blocking=False):
            try:
                self._hear_all()
            except redis.RedisError as error:
                self._recover(error)
            finally:
                self._desk.turn.release()

    def _trip(self) -> Sequence[Item]:
        """One exchange with Redis. Raises ``ConnectionClosed``: nothing is lost, and it is to be tried again."""
        try:
            self._hear_all()
            if not self._desk.in_step:
                self._clerk.repair()
            ahead = AHEAD if len(self._desk) <= _FEW else 0
            call = self._clerk.call(batch=BATCH, ahead=ahead)
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
        log.info("queue %s: %s; what is in doubt is told again", self._clerk.queue_name, error)
        self._wire.close()
        self._desk.in_step = False
        self._clerk.repair()

    def _opened(self, items: Sequence[Item]) -> list[Delivered]:
        """Those that may run now."""
        opened: list[Delivered] = []
        for at, item in enumerate(items):
            message = self._clerk.open(item)
            if message is None or message.unplaced is None:
                opened += [message] if message else []
                continue
            try:
                opened += [message] if self._clerk.place(message, message.unplaced) else []
            except (ConnectionClosed, redis.RedisError) as error:
                log.warning("queue %s: %s has no place yet, and goes back: %s", self._clerk.queue_name, message, error)
                self._clerk.disown(item.ticket for item in items[at:])
                break
        return opened

    # --- going on -----------------------------------------------------------------

    def go_on(self, message: Delivered, settlement: Settlement) -> bool:
        """Tell Redis of a message, and go on with the next of its key without waiting for the answer.

        Only where the answer is certain unless Redis or the way to it fails, and what would be waited for is most of
        the time that a message takes. Redis hears of the first before the second starts, even if this process is
        killed then: what is sent is on its way.

        Returns False if that can't be; then nothing was done.

        Raises:
            ConnectionClosed: Redis is to be told again; the message has its settlement.
        """
        if not self._may_go_on(message, settlement) or not self._desk.turn.acquire(blocking=False):
            return False
        try:
            if self._desk.unsaid or not self._desk.in_step:
                return False
            message.settlement = settlement
            following = self._following(message, settlement)
        finally:
            self._desk.turn.release()
        for one in following:
            one.followers = message.followers
            self._keep(one)
        if not following:
            self.tell()
        return True

    def _following(self, message: Delivered, settlement: Settlement) -> list[Delivered]:
        """Tell Redis, and open what comes next; nothing if it is not this worker's. Raises ``ConnectionClosed``."""
        follower = message.followers.popleft()
        settlement.goes_on = follower.ticket
        self._desk.add([follower.ticket])
        try:
            self._tell_ahead(settlement)
        except ConnectionClosed:
            self._desk.remove([follower.ticket])  # nobody is going to run it here
            raise
        if settlement.standing in {None, "held", "done"}:
            return self._opened([follower])
        self._desk.remove([follower.ticket])
        return []

    def _tell_ahead(self, settlement: Settlement) -> None:
        try:
            self._wire.send("exchange", *self._clerk.call_ahead(settlement))
            if self._desk.under_way > LAG:
                while self._desk.under_way > LAG // 2:  # one read from the socket has them all, or nearly
                    self._clerk.heard(self._wire.receive())
        except redis.RedisError as error:
            self._recover(error)

    def _may_go_on(self, message: Delivered, settlement: Settlement) -> bool:
        return (
            bool(message.followers)
            and settlement.operation == "commit"
            and not message.after_commit
            and self._desk.is_quick
            and not self._clerk.notes_starts
            and not self._station.lease.doubts(self._clerk.queue_name, message.ticket.fence)
            and not self._station.takes_nothing(self._clerk.queue_name)
            and not _others_wait_here()
        )

    def _keep(self, message: Delivered) -> None:
        """Hand a message to this very thread, if it is one of Dramatiq's."""
        queue, actor = _queue_of_this_thread(), self._broker.actors.get(message.actor_name)
        if queue is not None and actor is not None:
            queue.keep(_WorkQueueItem(actor.priority, message))
        else:
            self._hand_over([message])


def _others_wait_here() -> bool:
    queue = _queue_of_this_thread()
    return queue is not None and queue.others_wait


def _queue_of_this_thread() -> WorkQueue | None:
    """Where this thread gets its messages from, if it is one of Dramatiq's worker threads."""
    queue = getattr(threading.current_thread(), "work_queue", None)
    return queue if isinstance(queue, WorkQueue) else None
