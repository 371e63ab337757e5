"""This process as a worker: its id, its lease, and what it holds of each queue."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any
from uuid import uuid4

import dramatiq
import redis
from dramatiq.common import iter_queue
from dramatiq.errors import ConnectionClosed
from dramatiq.worker import ConsumerThread

from gobroke_dist.registry import new_node_id
from gobroke_dist.tasks.delivery import Dispatch, OnCommitted, Ticket
from gobroke_dist.tasks.desk import Desk
from gobroke_dist.tasks.lease import Lease
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.scripts import Argument

log = logging.getLogger(__name__)


class Station:
    """What a worker is in Redis' eyes.

    Args:
        link: the way to Redis.

    Attributes:
        id: this worker's; one that Redis has never seen before.
        lease: for as long as it is renewed, what the worker holds is its own.
        draining: set when nothing more may be fetched.
        threads: how many messages it runs at once.
        on_committed: called after each commit with what is to be dispatched then.
        consumer_threads: Dramatiq's, by queue, as far as there are any.
    """

    def __init__(self, link: Link) -> None:
        self.id = str(uuid4())
        self.draining = threading.Event()
        self.threads = 1
        self.on_committed: OnCommitted | None = None
        self._link = link
        self.consumer_threads: dict[str, ConsumerThread] = {}
        self._desks: defaultdict[str, Desk] = defaultdict(Desk)
        self.lease = self._new_lease()

    def desk(self, queue_name: str) -> Desk:
        """What this process holds of a queue."""
        return self._desks[queue_name]

    def takes_nothing(self, queue_name: str) -> bool:
        """Whether no new messages of a queue may come here: the worker ends or is paused."""
        thread = self.consumer_threads.get(queue_name)
        return self.draining.is_set() or (thread is not None and thread.paused)

    def open(self) -> None:
        """Begin as a worker that Redis has never seen; a fork must not share its parent's id."""
        self.lease.stop()
        self.id = new_node_id(self._link.settings, "worker")
        self._desks.clear()
        self.consumer_threads.clear()
        self.draining.clear()
        self.lease = self._new_lease()

    def drain(self, worker: dramatiq.Worker) -> None:
        """Fetch nothing more, and give back what this process has fetched and not started."""
        self.draining.set()
        waiting: defaultdict[str, list[Ticket]] = defaultdict(list)
        for item in iter_queue(worker.work_queue):
            message: Any = item.message
            waiting[message.queue_name].append(message.ticket)
            worker.work_queue.task_done()
        for queue_name, tickets in waiting.items():
            try:
                self.give_back(queue_name, tickets)
            except ConnectionClosed as error:
                log.warning("%d messages of %s go back when the lease ends: %s", len(tickets), queue_name, error)

    def close(self) -> None:
        """Give the lease up."""
        self.lease.stop()

    def give_back(self, queue_name: str, tickets: Sequence[Ticket]) -> None:
        """Return unstarted messages to the front of their queue, in their order. Raises ``ConnectionClosed``."""
        if not tickets:
            return
        queue = self._link.keys(queue_name)
        keys = [queue.acks(self.id), queue.ready, queue.fences, queue.deliveries, queue.bell]
        args: list[Argument] = [part for ticket in tickets for part in (ticket.id, ticket.fence)]
        try:
            self._link.call("requeue", keys, args)
        except redis.ResponseError as error:
            raise ConnectionClosed(error) from None
        self.desk(queue_name).remove(tickets)

    def committed(self, dispatches: list[Dispatch]) -> Future[None] | None:
        """Pass on what a committed message addressed to DISPATCHED logics. The future: it has been taken on."""
        if self.on_committed is None:
            log.error("%d messages for DISPATCHED logics are dropped: nobody runs those here", len(dispatches))
            self._link.count("dispatches_dropped", len(dispatches))
            return None
        try:
            return self.on_committed(dispatches)
        except Exception:
            log.exception("passing on %d messages for DISPATCHED logics failed", len(dispatches))
            return None

    def _new_lease(self) -> Lease:
        return Lease(self.id, self._link.settings, self._link.call, self._link.count)
