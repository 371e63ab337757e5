"""A message in the hands of this worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import dramatiq
from dramatiq.broker import MessageProxy

from gobroke_dist.keys import Channel
from gobroke_dist.message import Message
from gobroke_dist.tasks.parcel import REDIS_ID, Parcel, postponed

Dispatch = tuple[str, Message]
"""A DISPATCHED logic's name, and the message that it is to process."""


class Ticket(NamedTuple):
    """What Redis said when it handed a message out; who shows the fence may settle it.

    Attributes:
        id: the message's id in Redis.
        key: the ordering key that it is the head of; None for no order.
        fence: grows with every delivery of the queue.
        attempt: 1 for the first delivery; those that ended before they started do not count.
        recovered: it was taken from a worker that died.
        crashed: a delivery of it is known to have ended with its process.
        at: when it was handed out, in Unix milliseconds of Redis' clock.
    """

    id: str
    key: str | None
    fence: int
    attempt: int
    recovered: bool
    crashed: bool = False
    at: int = 0


class Item(NamedTuple):
    """A message that was taken.

    Attributes:
        ticket: its delivery.
        payload: None: somebody removed it.
        followers: what comes after it in its order, for a worker that goes on without waiting for answers.
    """

    ticket: Ticket
    payload: bytes | None
    followers: tuple[Item, ...] = ()


class Publication(NamedTuple):
    """A datum for whoever listens on a channel."""

    channel: Channel
    data: bytes


class Sending(NamedTuple):
    """A datum for clients and members of groups, wherever they are when the message is settled; who is nowhere by then
    is gone.
    """

    data: bytes
    to: tuple[str, ...]
    groups: tuple[str, ...] = ()


Effect = Publication | Sending | Parcel


class Unplaced(NamedTuple):
    """What a message says of itself that Redis handed out without knowing its key; it gets its place first.

    Attributes:
        eta: Unix milliseconds before which it must not start; 0 for none.
        revives: the id of the dead letter that it was, if another tool made it of one.
    """

    eta: int
    revives: str


_NOTHING: deque[Item] = deque(maxlen=0)


class Delivered(MessageProxy):
    """A Dramatiq message with its ticket, and with what is to happen when it is settled.

    Attributes:
        ticket: this delivery.
        effects: what becomes visible in the step that settles the message, in order.
        after_commit: what this process does when that step has been done.
        put_off: the next try, when the message is to be retried; its delay counts from when Redis hears of it.
        settlement: how it ends, once that is decided.
        followers: what comes after it in its order, if this process may go on with that without waiting for answers.
        began: when its hooks began, by the monotonic clock; 0: they have not.
        stolen: another worker has it, as far as Redis said; so it was not run here, and nothing is to be said of it.
        unplaced: None: it has its place.
        on_loop: its hooks and its handler run on the event loop, and not on a thread of its own.
        prefix: of the application's keys.
        hooks_thread: while Dramatiq's after-hooks run: the thread they run on. A task that outlives its handler
            on the event loop is not on it.
    """

    put_off: Parcel | None = None
    settlement: Settlement | None = None
    followers: deque[Item] = _NOTHING
    began = 0.0
    stolen = False
    unplaced: Unplaced | None = None
    on_loop = False
    prefix = ""
    hooks_thread: int | None = None

    def __init__(self, message: dramatiq.Message[Any], ticket: Ticket) -> None:
        super().__init__(message)
        # Dramatiq's proxy looks these up in the message each time; hooks do so some thirty times for each message.
        self.queue_name, self.actor_name = message.queue_name, message.actor_name
        self.args, self.kwargs, self.options = message.args, message.kwargs, message.options
        self.message_id, self.message_timestamp = message.message_id, message.message_timestamp
        self.ticket = ticket
        self.effects: list[Effect] = []
        self.after_commit: list[Dispatch] = []

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


OnCommitted = Callable[[list[Dispatch]], Future[None]]
"""Called after a commit, on any thread; begins, and must not block. The future: all has been taken on."""


Operation = Literal["commit", "retry", "reject"]
Standing = Literal["held", "done", "stale", "failed"]

_ENQUEUED = 4096  # bytes that a message for another logic is taken to have; it is not encoded yet


@dataclass(slots=True, eq=False)
class Settlement:
    """What Redis is to be told of one delivery.

    Attributes:
        operation: it is done; it is tried again; it is dead.
        ticket: the delivery.
        payload: of a retry or a dead letter.
        delay: of a retry, in milliseconds; of a dead letter: what is halted (``limits.halts_of``).
        effects: what becomes visible in the same step, in order.
        message: what was processed; None: it never came to that.
        standing: what Redis said; None: nothing yet.
        told: called when Redis has said it; None: nobody waits for that.
        goes_on: the next message of its key, which this worker starts without waiting for Redis' answer.
        passed_on: done when the process has taken on what is to follow the commit.
    """

    operation: Operation
    ticket: Ticket
    payload: bytes = b""
    delay: int = 0
    effects: Sequence[Effect] = ()
    message: Delivered | None = None
    standing: Standing | None = None
    told: Callable[[], None] | None = None
    goes_on: Ticket | None = None
    passed_on: Future[None] | None = None

    @property
    def size(self) -> int:
        """About how many bytes it takes to tell."""
        return len(self.payload) + sum(map(_size, self.effects))


def _size(effect: Effect) -> int:
    return _ENQUEUED if isinstance(effect, Parcel) else len(effect.data)
