"""What a worker does with the messages of one queue before they run, and after."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from dramatiq.broker import Broker
from dramatiq.errors import ConnectionClosed

from gobroke_dist.tasks import exchange, letters, notices
from gobroke_dist.tasks.bell import LONGEST_WAIT
from gobroke_dist.tasks.delivery import Delivered, Item, Settlement, Standing, Ticket, Unplaced
from gobroke_dist.tasks.exchange import Counter
from gobroke_dist.tasks.limits import attempts_of, halts_of
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.parcel import Parcel, key_of, lane_of
from gobroke_dist.tasks.scripts import Argument, queue_keys
from gobroke_dist.tasks.station import Station

log = logging.getLogger(__name__)

LAG = 4
"""Calls under way when another is made without waiting for their answers; then half of them are heard at once."""

_QUICK_PREFETCH = 2
"""Times the prefetch that a process may hold of messages that are quick."""

_MEMORY = 2 * (LAG + 2)  # calls: all that are under way, told once more

Call = tuple[list[str], list[Argument]]


class Clerk:
    """Writes the calls of one queue, and acts on the answers. Who makes them holds the desk's turn.

    Args:
        broker: whose hooks are called.
        link: the way to Redis, for what is rare.
        station: this process as a worker.
        queue_name: which queue.
        at_once: how many of its messages this process can run at once.
        prefetch: how many messages this process may hold.
        starts_all: whether everything that is taken starts at once; then Redis notes starts by itself.

    Attributes:
        watch: from which attempt on it does so; 0: never.
        prefetch: as it was given.
        notes_starts: every start is its message's last, and noted in Redis before it happens.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        link: Link,
        station: Station,
        queue_name: str,
        at_once: int,
        prefetch: int,
        starts_all: bool = False,
    ) -> None:
        self.queue_name = queue_name
        self.desk = station.desk(queue_name)
        self._at_once = at_once
        self.prefetch = prefetch
        self._broker = broker
        self._link = link
        self._station = station
        self._keys = link.keys(queue_name)
        attempts = _attempts(broker, queue_name)
        self.watch = (attempts or 0) if starts_all else 0
        self.notes_starts = attempts is not None and attempts <= 1
        self._counter = Counter(
            self._keys,
            worker=station.id,
            lease=station.lease.milliseconds,
            window=link.window,
            kept=link.settings.kept,
            watch=self.watch,
        )

    # --- trips -----------------------------------------------------------------

    def call(self, *, batch: int, ahead: int = 0) -> Call | None:
        """What to ask Redis now; None: nothing.

        Args:
            batch: how many settlements to tell at most.
            ahead: how many messages to show of what comes after those that the settlements make ready.
        """
        telling = min(batch, self.desk.unsaid)
        held = len(self.desk) - telling
        if self._station.takes_nothing(self.queue_name):
            take = most = 0
        else:
            take, most = max(0, self.prefetch - held), max(0, self._room - held)
        if not take and not telling:
            return None
        return self._call(self.desk.batch(batch), take, most=most, ahead=ahead)

    def call_ahead(self, settlement: Settlement) -> Call:
        """Tell one settlement, after all that was told before, and take nothing but what it goes on with."""
        self.desk.finish(settlement)
        return self._call(self.desk.batch(1), memory=_MEMORY)

    def _call(self, told: list[Settlement], take: int = 0, most: int = 0, **more: int) -> Call:
        # Who need not wait for answers may have begun all that is held.
        begun = self._room if self.desk.is_quick else self._at_once
        return self._counter.call(self.desk.next_call(), told, take, most=most, begun=begun, **more)

    @property
    def _room(self) -> int:
        """How many messages may be held where many wait: quick ones are run as fast as Redis brings others."""
        return _QUICK_PREFETCH * self.prefetch if self.desk.is_quick else self.prefetch

    def heard(self, reply: Any) -> Sequence[Item]:
        """Act on Redis' answer. Returns what was taken."""
        answer = exchange.read(reply)
        if answer is None:
            raise ConnectionClosed(ConnectionError("a later call was carried out before this one"))
        if not answer.leased:
            self.desk.in_step = False
            log.warning("queue %s: worker %s had lost its lease and takes it again", self.queue_name, self._station.id)
        self.desk.due = time.monotonic() + (LONGEST_WAIT if answer.wait is None else answer.wait)
        told = self.desk.heard([item.ticket for item in answer.items])
        self._link.count("duplicates", answer.duplicates)
        for settlement, (standing, why) in zip(told, answer.standings, strict=True):
            self._conclude(settlement, standing, why, others_wait=answer.others_wait)
        return answer.items

    def disown(self, tickets: Iterable[Ticket]) -> None:
        """These are not going to run here. What Redis takes to be in this worker's hands all the same, goes back."""
        self.desk.remove(tickets)
        self.desk.in_step = False

    def repair(self) -> None:
        """After an error: have a lease, tell what is in doubt, and let Redis take back what was lost on the way here.

        Raises:
            ConnectionClosed: Redis does not answer; it is to be tried again.
        """
        try:
            self._station.lease.cover(self.queue_name)
            while self.desk.under_way:
                self.heard(self._link.insist(self._tell_again))
            lost = self._link.call("reclaim", self._reclaim_keys(), [self.desk.next_call(), *self.desk.ids()])
        except redis.ResponseError as error:  # out of memory, disk full, loading: what is held stays where it is
            raise ConnectionClosed(error) from None
        if lost:
            log.warning("queue %s: %d messages were lost on the way here and go back", self.queue_name, lost)
        self.desk.in_step = True

    def _tell_again(self) -> Any:
        call = self._call(self.desk.in_doubt(), memory=_MEMORY)
        return self._link.call_once("exchange", *call)

    def _reclaim_keys(self) -> list[str]:
        queue, worker = self._keys, self._station.id
        return [
            *(queue.acks(worker), queue.done(worker), queue.ready, queue.fences, queue.deliveries),
            queue.bell,
        ]

    def _conclude(self, settlement: Settlement, standing: Standing, why: str, *, others_wait: bool) -> None:
        # The message holds its settlement: without this, only the garbage collector would ever free either.
        message, settlement.message = settlement.message, None
        done = standing in {"held", "done"}
        if not done:
            self._complain(settlement, standing, why)
        if message is not None:
            if done:
                self._follow_up(settlement, message)
            if others_wait or not done:
                message.followers.clear()  # it is their turn; or what comes after is not this process' either
        settlement.standing = standing
        if settlement.told is not None:
            settlement.told()

    def _complain(self, settlement: Settlement, standing: Standing, why: str) -> None:
        what = settlement.operation, settlement.ticket.id
        if standing == "stale":
            self._link.count("settlements_refused")
            log.warning("queue %s: %s of %s refused: this worker lost it", self.queue_name, *what)
        else:
            self._link.count("settlements_failed")
            log.error("queue %s: %s of %s failed, it is dead: %s", self.queue_name, *what, why)

    def _follow_up(self, settlement: Settlement, message: Delivered) -> None:
        for effect in message.effects:
            if isinstance(effect, Parcel):
                self._broker.emit_after("enqueue", effect.message, effect.delay or None)
        if settlement.operation == "retry" and message.put_off is not None:
            self._broker.emit_after("enqueue", message.put_off.message, message.put_off.delay)
        if settlement.operation == "commit" and message.after_commit:
            settlement.passed_on = self._station.committed(message.after_commit)

    # --- messages --------------------------------------------------------------

    def open(self, item: Item) -> Delivered | None:
        """The message that was taken; None: it is not to run, and how it ends is on the desk."""
        ticket, payload, followers = item
        if payload is None:
            log.warning("queue %s: message %s was removed by somebody", self.queue_name, ticket.id)
            self.desk.finish(Settlement("commit", ticket))
            return None
        try:
            letter = letters.read(payload, queue=self.queue_name, redis_id=ticket.id)
        except letters.Unreadable as error:
            log.error("queue %s: message %s can't be read and is dead: %s", self.queue_name, ticket.id, error)
            junk = letters.junk(payload, queue=self.queue_name, redis_id=ticket.id, error=error)
            self.desk.finish(Settlement("reject", ticket, junk.encode()))
            return None
        if ticket.crashed and self._kills(ticket, letter):
            return None
        delivered = Delivered(letter.message, ticket)
        delivered.prefix = self._keys.prefix
        if ticket.key is None and (letter.eta or key_of(letter.message) is not None):
            delivered.unplaced = Unplaced(letter.eta, letter.revives)
        if followers:
            delivered.followers = deque(followers)
        return delivered

    def _kills(self, ticket: Ticket, letter: letters.Letter) -> bool:
        """Whether a message has used up its runs by ending the processes that ran it; then it is dead now."""
        limit = attempts_of(self._broker, letter.message)
        if limit is None or ticket.attempt <= limit:
            return False
        log.error("queue %s: message %s is dead: its process died, %d times", self.queue_name, ticket.id, limit)
        halts = halts_of(self._broker, letter.message, reason="crashed")
        effects = notices.dead(letter.message, "crashed", prefix=self._keys.prefix)
        self.desk.finish(Settlement("reject", ticket, letters.killer(letter.message, ticket).encode(), halts, effects))
        return True

    def place(self, message: Delivered, unplaced: Unplaced) -> bool:
        """Give a message its place that Redis handed out without knowing its key. Whether it may run now.

        Raises:
            ConnectionClosed: not known; calling again is safe.
        """
        queue, key, ticket = self._keys, key_of(message.message), message.ticket
        keys = [queue.acks(self._station.id), queue.deliveries, lane_of(queue, key), *queue_keys(queue)]
        args: list[Argument] = [ticket.id, ticket.fence, int(key is not None), key or ""]
        args += [message.message.encode(), *unplaced]
        if self._link.call("admit", keys, args) != b"run":
            self.desk.remove([ticket])
            return False
        message.ticket = ticket._replace(key=key)
        self.desk.add([message.ticket])
        message.unplaced = None
        return True


def _attempts(broker: Broker, queue_name: str) -> int | None:
    """How often the messages of a queue's own logic may start."""
    actor = broker.actors.get(queue_name)
    return None if actor is None else attempts_of(broker, actor.message())
