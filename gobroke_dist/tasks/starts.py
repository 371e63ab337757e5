"""Counts the runs of a message that end with their process."""

from __future__ import annotations

import logging
from typing import Any

import redis
from dramatiq import Broker, Worker
from dramatiq.broker import MessageProxy
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware, SkipMessage

from gobroke_dist.tasks.delivery import Delivered
from gobroke_dist.tasks.limits import ACTOR_OPTIONS, attempts_of
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.station import Station

log = logging.getLogger(__name__)


class Starts(Middleware):
    """Notes in Redis that a message starts, before it does, where that may decide whether it is given up.

    That is a message which was in the hands of a worker that died, and one at its last attempt. For all others
    ``recover.lua`` tells from the order in which they were fetched; see ``docs/adr/0007``. A message that was fetched
    before this worker lost its lease is noted too: if another has it by now, it does not start here.

    Args:
        broker: whose actors say how often their messages may start.
        link: the way to Redis.
        station: this process as a worker; it is told how many messages it runs at once.
    """

    def __init__(self, broker: Broker, link: Link, station: Station) -> None:
        self._last = LastStarts(broker)
        self._link = link
        self._station = station

    @property
    def actor_options(self) -> set[str]:
        return set(ACTOR_OPTIONS)

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """A worker starts."""
        self._station.threads = worker.worker_threads

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Note the start, if it matters. Raises ``SkipMessage`` when the message is another worker's by now."""
        if not isinstance(message, Delivered) or message.on_loop:  # of those on the loop, the lane sees to it
            return
        if self.matters(message) and not self.note(message):
            message.stolen = True
            raise SkipMessage("this worker lost it")

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Before Dramatiq's ``Retries`` decides: runs that ended with their process count as well."""
        if exception is not None and isinstance(message, Delivered) and message.ticket.recovered:
            message.options["retries"] = max(message.options.get("retries", 0), message.ticket.attempt - 1)

    def matters(self, message: Delivered, *, noted: bool = False) -> bool:
        """Whether Redis is to know of this start, or to be asked whether it may be.

        Args:
            message: that is to start.
            noted: Redis has noted it already; it may still have to be asked.
        """
        doubted = self._station.lease.doubts(message.queue_name, message.ticket.fence)
        return doubted or (not noted and self._last.may_be(message))

    def note(self, message: Delivered) -> bool:
        """Note a start. False: the message is another worker's by now."""
        keys, ticket = self._link.keys(message.queue_name), message.ticket
        try:
            return bool(self._link.call("start", [keys.fences, keys.deliveries], [ticket.id, ticket.fence]))
        except (ConnectionClosed, redis.ResponseError) as error:
            log.warning("queue %s: the start of %s is not noted: %s", message.queue_name, ticket.id, error)
            return True


class LastStarts:
    """Knows for which messages it matters that Redis knows of their start.

    Args:
        broker: whose actors say how often their messages may start.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._limits: dict[str, int | None] = {}

    def may_be(self, message: Delivered) -> bool:
        """Whether this start may be the last."""
        if message.ticket.recovered:
            return True
        limit = self._limit(message)
        return limit is not None and message.ticket.attempt >= limit

    def _limit(self, message: Delivered) -> int | None:
        if "max_retries" in message.options:
            return attempts_of(self._broker, message.message)
        if message.actor_name not in self._limits:
            self._limits[message.actor_name] = attempts_of(self._broker, message.message)
        return self._limits[message.actor_name]
