"""A message in the hands of this worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dramatiq
from dramatiq.broker import MessageProxy

from gobroke_dist.message import Message
from gobroke_dist.tasks.parcel import REDIS_ID, Parcel, postponed

Dispatch = tuple[str, Message]
"""A DISPATCHED logic's name, and the message that it is to process."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What Redis said when it handed a message out; who shows the fence may settle it.

    Attributes:
        id: the message's id in Redis.
        key: the ordering key that it is the head of; None for no order.
        fence: grows with every delivery of the queue.
        attempt: 1 for the first delivery; those that ended before they started do not count.
        recovered: it was taken from a worker that died.
        crashed: a delivery of it is known to have ended with its process.
    """

    id: str
    key: str | None
    fence: int
    attempt: int
    recovered: bool
    crashed: bool = False


@dataclass(frozen=True, slots=True)
class Publication:
    """A datum for a pub/sub channel."""

    channel: str
    data: bytes


Effect = Publication | Parcel


class Delivered(MessageProxy):
    """A Dramatiq message with its ticket, and with what is to happen when it is settled.

    Attributes:
        ticket: this delivery.
        effects: what becomes visible in the step that settles the message, in order.
        after_commit: what this process does when that step has been done.
        put_off: the next try, when the message is to be retried; its delay counts from when Redis hears of it.
        hooks_thread: while Dramatiq's after-hooks run: the thread they run on. A task that outlives its handler
            on the event loop is not on it.
    """

    def __init__(self, message: dramatiq.Message[Any], ticket: Ticket) -> None:
        super().__init__(message)
        self.ticket = ticket
        self.effects: list[Effect] = []
        self.after_commit: list[Dispatch] = []
        self.put_off: Parcel | None = None
        self.hooks_thread: int | None = None

    def __str__(self) -> str:
        """What Dramatiq writes into its logs: which message, and nothing of what is in it (contract O7)."""
        return f"{self._message.message_id} of {self._message.queue_name}"

    __repr__ = __str__

    @property
    def message(self) -> dramatiq.Message[Any]:
        """The Dramatiq message itself."""
        return self._message

    def postpone(self, delay: int) -> Parcel:
        """Have the message tried again ``delay`` milliseconds after it is settled; what it is then."""
        again = postponed(self.message.copy(options={REDIS_ID: self.ticket.id}), delay)
        parcel = Parcel(self.queue_name, self.ticket.id, self.ticket.key, delay, again)
        self.put_off = parcel
        return parcel

    @property
    def exception(self) -> BaseException | None:
        """What the actor raised."""
        return self._exception


OnCommitted = Callable[[list[Dispatch]], None]
"""Called on a worker thread after a commit; must not block and must not raise."""
