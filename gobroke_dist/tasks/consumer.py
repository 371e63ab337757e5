"""Fetches messages for a worker, and settles them."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Literal, cast

import redis
from dramatiq.broker import Broker, Consumer, MessageProxy
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Retries

from gobroke_dist.tasks import letters
from gobroke_dist.tasks.bell import LONGEST_WAIT, Bell
from gobroke_dist.tasks.delivery import Delivered, Ticket
from gobroke_dist.tasks.hooks import MAX_BACKOFF, Deliveries
from gobroke_dist.tasks.limits import attempts_of, halts_of
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.parcel import Parcel, key_of, lane_of
from gobroke_dist.tasks.scripts import Argument, queue_keys
from gobroke_dist.tasks.settlement import Settlement
from gobroke_dist.tasks.station import Station

log = logging.getLogger(__name__)

_LONGEST_SLICE = 1.0
_DRAINING_SLICE = 0.02
_PATIENCE = 6

Item = tuple[Ticket, bytes | None]


class OrderedConsumer(Consumer):
    """One queue's consumer. Dramatiq's consumer thread iterates; its worker threads settle.

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
        self._link = link
        self._station = station
        self._deliveries = deliveries
        self._keys = link.keys(queue_name)
        self._shelf = station.shelf(queue_name)
        self._bell = Bell(link.blocking_client, self._keys.bell, grace=link.settings.redis_timeout)
        self._slice = min(timeout / 1000, _LONGEST_SLICE)
        self._fetched: deque[Item] = deque()
        self._in_step = False  # Redis and the shelf agree on what this process holds
        self._more = True  # there may be something to fetch
        self._due = 0.0
        self._failures = 0

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
        """Give back what was fetched and not handed out."""
        self._bell.close()
        tickets = [ticket for ticket, _ in self._fetched]
        self._fetched.clear()
        try:
            self._station.give_back(self.queue_name, tickets)
        finally:
            self._shelf.remove(tickets)

    # --- fetching ------------------------------------------------------------

    def _next(self) -> MessageProxy | None:
        if not self._fetched and self._more:
            self._fetch()
        if self._fetched:
            return self._hand_out()
        if self._more:
            return None
        if not self._bell.armed:
            self._bell.arm(self._due - time.monotonic())
        self._more = self._bell.wait(self._slice)
        return None

    def _drain(self) -> None:
        self.close()
        time.sleep(_DRAINING_SLICE)

    def _failed(self, error: Exception) -> None:
        self._bell.close()
        self._in_step, self._more = False, True
        self._failures += 1
        if self._failures > _PATIENCE:
            raise ConnectionClosed(error) from None
        time.sleep(min(self._slice, 0.02 * 2**self._failures))

    def _fetch(self) -> None:
        if not self._shelf.wait_for_room(self.prefetch, self._slice):
            return
        if not self._in_step:
            self._get_in_step()
        room = self.prefetch - len(self._shelf)
        queue, worker = self._keys, self._station.id
        keys = [
            *(queue.heartbeats, queue.acks(worker), queue.done(worker), queue.ready, queue.messages),
            *(queue.delayed_messages, queue.keys, queue.fences, queue.deliveries, queue.later),
            *(queue.counters, queue.bell),
        ]
        args: list[Argument] = [worker, room, self._shelf.next_call(), self._station.lease.milliseconds]
        args.append(self._station.threads)
        answer = self._link.call_once("fetch", keys, args)
        if answer[0] != b"ok":
            log.warning("queue %s: worker %s had lost its lease and takes it again", self.queue_name, worker)
            self._in_step = False
            return
        self._due = time.monotonic() + (LONGEST_WAIT if answer[1] < 0 else answer[1] / 1000)
        items = [_item(raw) for raw in answer[2]]
        self._shelf.add(ticket for ticket, _ in items)
        self._fetched.extend(items)
        self._more = len(items) == room

    def _get_in_step(self) -> None:
        """Have a lease, and let Redis know what is here, so that it takes back what was lost on the way."""
        queue, worker = self._keys, self._station.id
        self._station.lease.cover(self.queue_name)
        keys = [
            *(queue.acks(worker), queue.done(worker), queue.ready, queue.fences, queue.deliveries),
            queue.bell,
        ]
        held = self._shelf.ids()
        lost = self._link.call("reclaim", keys, [self._shelf.next_call(), *held])
        if lost:
            log.warning("queue %s: %d messages were lost on the way here and go back", self.queue_name, lost)
        self._in_step = True

    def _hand_out(self) -> Delivered | None:
        ticket, payload = self._fetched[0]
        message = self._opened(ticket, payload)
        self._fetched.popleft()
        return message

    def _opened(self, ticket: Ticket, payload: bytes | None) -> Delivered | None:
        if payload is None:
            log.warning("queue %s: message %s was removed by somebody", self.queue_name, ticket.id)
            self._settle("commit", ticket)
            return None
        try:
            letter = letters.read(payload, queue=self.queue_name, redis_id=ticket.id)
        except letters.Unreadable as error:
            log.error("queue %s: message %s can't be read and is dead: %s", self.queue_name, ticket.id, error)
            junk = letters.junk(payload, queue=self.queue_name, redis_id=ticket.id, error=error)
            self._settle("reject", ticket, payload=junk.encode())
            return None
        if self._kills(ticket, letter):
            return None
        if ticket.key is None and (letter.eta or key_of(letter.message) is not None):
            return self._admitted(ticket, letter)
        return Delivered(letter.message, ticket)

    def _kills(self, ticket: Ticket, letter: letters.Letter) -> bool:
        """Whether a message has used up its runs by ending the processes that ran it; then it is dead now."""
        limit = attempts_of(self._broker, letter.message) if ticket.crashed else None
        if limit is None or ticket.attempt <= limit:
            return False
        log.error("queue %s: message %s is dead: its process died, %d times", self.queue_name, ticket.id, limit)
        halts = halts_of(self._broker, letter.message, reason="crashed")
        self._settle("reject", ticket, payload=letters.killer(letter.message, ticket).encode(), delay=halts)
        return True

    def _admitted(self, ticket: Ticket, letter: letters.Letter) -> Delivered | None:
        """A message that Redis handed out without knowing its key gets its place first."""
        queue, key = self._keys, key_of(letter.message)
        keys = [queue.acks(self._station.id), queue.deliveries, lane_of(queue, key), *queue_keys(queue)]
        payload = letter.message.encode()
        args: list[Argument] = [ticket.id, ticket.fence, int(key is not None), key or "", payload, letter.eta]
        args.append(letter.revives)
        if self._link.call("admit", keys, args) != b"run":
            self._shelf.remove([ticket])
            return None
        placed = dataclasses.replace(ticket, key=key)
        self._shelf.add([placed])
        return Delivered(letter.message, placed)

    # --- settling ------------------------------------------------------------

    def ack(self, message: MessageProxy) -> None:
        """Commit a message with all that its handler sent, or put it off when it is to be retried.

        Raises:
            ConnectionClosed: not known to be done; calling again is safe.
        """
        delivered = cast(Delivered, message)
        if delivered.put_off is None and delivered.exception is not None and self._retries:
            # A hook that was to record the retry has failed; the message must not be lost by that.
            delivered.postpone(MAX_BACKOFF)
        if delivered.put_off is not None:
            parcel = delivered.put_off
            self._finish("retry", delivered, payload=parcel.payload, delay=parcel.delay)
            self._broker.emit_after("enqueue", parcel.message, parcel.delay)
        elif self._finish("commit", delivered) and delivered.after_commit:
            self._station.committed(delivered.after_commit)

    def nack(self, message: MessageProxy) -> None:
        """Make a message a dead letter. Raises ``ConnectionClosed`` as ``ack``."""
        delivered = cast(Delivered, message)
        halts = halts_of(self._broker, delivered.message, reason=letters.reason_of(delivered.exception))
        self._finish("reject", delivered, payload=letters.dead(delivered).encode(), delay=halts)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back messages that were not started."""
        self._station.give_back(self.queue_name, [cast(Delivered, message).ticket for message in messages])

    @property
    def _retries(self) -> bool:
        """Whether a message whose actor raised is tried again."""
        return any(isinstance(one, Retries) for one in self._broker.middleware)

    def _finish(
        self,
        operation: Literal["commit", "retry", "reject"],
        message: Delivered,
        *,
        payload: bytes = b"",
        delay: int = 0,
    ) -> bool:
        done = self._settle(operation, message.ticket, payload=payload, delay=delay, effects=message.effects)
        self._deliveries.forget(message)
        if done:
            for effect in message.effects:
                if isinstance(effect, Parcel):
                    self._broker.emit_after("enqueue", effect.message, effect.delay or None)
        return done

    def _settle(self, operation: Literal["commit", "retry", "reject"], ticket: Ticket, **what: Any) -> bool:
        """Whether it was done; False: the message is another worker's by now."""
        effects = what.pop("effects", ())
        worker, window = self._station.id, self._link.window
        settlement = Settlement(self._keys, worker=worker, ticket=ticket, window=window, **what).add(effects)
        try:
            standing, duplicates = self._link.call(operation, settlement.keys, settlement.args)
        except redis.ResponseError as error:  # out of memory, disk full, loading: the message stays where it is
            raise ConnectionClosed(error) from None
        self._shelf.remove([ticket])
        self._link.count("duplicates", duplicates)
        if standing == b"stale":
            self._link.count("settlements_refused")
            log.warning("queue %s: %s of %s refused: this worker lost it", self.queue_name, operation, ticket.id)
            return False
        return True


def _item(raw: list[Any]) -> Item:
    id_, payload, key, fence, attempt, recovered = raw
    ticket = Ticket(id_.decode(), None if key is None else key.decode(), fence, attempt, recovered > 0, recovered > 1)
    return ticket, payload
