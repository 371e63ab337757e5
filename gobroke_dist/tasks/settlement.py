"""The one call that ends a delivery, with all that becomes visible by it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from gobroke_dist.keys import QueueKeys
from gobroke_dist.tasks.delivery import Effect, Publication, Ticket
from gobroke_dist.tasks.parcel import lane_of, place_args
from gobroke_dist.tasks.scripts import Argument, queue_keys


class Settlement:
    """Builds KEYS and ARGV of ``commit.lua``, ``retry.lua`` and ``reject.lua``.

    Args:
        queue: the queue that the message came from.
        worker: this worker's id.
        ticket: the delivery to settle.
        window: the dedup window in milliseconds, for what is enqueued.
        payload: for a retry or a dead letter.
        delay: for a retry, in milliseconds; for a dead letter: what is halted (``limits.halts_of``).
    """

    def __init__(
        self, queue: QueueKeys, *, worker: str, ticket: Ticket, window: int, payload: bytes = b"", delay: int = 0
    ) -> None:
        self._prefix = queue.prefix
        self.keys = [
            *(queue.acks(worker), queue.done(worker), queue.deliveries, lane_of(queue, ticket.key)),
            *(queue.dead, queue.dead_messages, *queue_keys(queue)),
        ]
        self.args: list[Argument] = [
            *(ticket.id, ticket.fence, threading.get_ident()),
            *(int(ticket.key is not None), ticket.key or "", window, payload, delay),
        ]
        self._first_key: dict[str, int] = {}

    def add(self, effects: Sequence[Effect]) -> Settlement:
        """Append effects, in order."""
        for effect in effects:
            if isinstance(effect, Publication):
                self.args += ["p", effect.channel, effect.data]
            else:
                queue = QueueKeys(self._prefix, effect.queue)
                first = self._declare(queue)
                self.keys.append(lane_of(queue, effect.key))
                self.args += ["e", first, *place_args(effect, len(self.keys))]
        return self

    def _declare(self, queue: QueueKeys) -> int:
        first = self._first_key.get(queue.queue)
        if first is None:
            first = self._first_key[queue.queue] = len(self.keys) + 1
            self.keys += queue_keys(queue)
        return first
