"""Messages that wait, in this process and in their order, for room in a full queue."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import dramatiq

from gobroke_dist.errors import QueueFull
from gobroke_dist.tasks.limits import Room
from gobroke_dist.tasks.parcel import Sealed

PAUSE = 0.05
"""Seconds from one question for room to the next."""

_AT_ONCE, _BYTES_AT_ONCE = 48, 128 << 10
"""What takes the event loop, and Redis, less than half a millisecond."""


@dataclass(slots=True)
class Pending:
    """A message on its way.

    Attributes:
        queue: its queue's name.
        sealed: what Redis gets of it.
        message: what Dramatiq's hooks get of it.
        accepted: done when Redis has it.
        since: when it first found its queue full.
    """

    queue: str
    sealed: Sealed
    message: dramatiq.Message[Any]
    accepted: asyncio.Future[None]
    since: float = 0.0

    def tell(self, error: Exception | None) -> None:
        """Tell its sender that it was accepted, or why it is not known to be."""
        if self.accepted.done():
            return
        if error is None:
            self.accepted.set_result(None)
        else:
            self.accepted.set_exception(error)
            self.accepted.exception()  # marks it as seen: nobody has to await it


def take(waiting: deque[Pending]) -> list[Pending]:
    """The first messages of a line: as many as may keep the event loop, and Redis, from others at once."""
    taken: list[Pending] = []
    size = 0
    while waiting and len(taken) < _AT_ONCE and (not taken or size + waiting[0].sealed.size <= _BYTES_AT_ONCE):
        taken.append(waiting.popleft())
        size += taken[-1].sealed.size
    return taken


@dataclass(slots=True)
class _Queue:
    room: Room
    waiting: deque[Pending] = field(default_factory=deque)
    asked: float = 0.0


class WaitingLine:
    """The lines of all full queues.

    Args:
        longest: seconds that a message waits before it is refused.
        places: messages that may wait for one queue; it must not use up what others need.
        refuse: called with those that there is no room for.
    """

    def __init__(self, longest: float, places: int, refuse: Callable[[Iterable[Pending], QueueFull], None]) -> None:
        self._longest = longest
        self._places = places
        self._tell = refuse
        self._queues: dict[str, _Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values()) if self._queues else 0

    def stand(self, refused: Sequence[Pending], room: Room) -> None:
        """Put messages that there was no room for in front of those that follow them, or refuse them."""
        if not room.waits:
            self._refuse(refused, room)
            return
        queue = self._queues.setdefault(refused[0].queue, _Queue(room))
        queue.asked = now = time.monotonic()
        for one in reversed(refused):
            one.since = one.since or now
            queue.waiting.appendleft(one)
        over = max(0, len(queue.waiting) - self._places)
        self._refuse([queue.waiting.pop() for _ in range(over)], room)

    def follow(self, one: Pending) -> bool:
        """Whether others of this message's queue wait already, and it has been put behind them, or refused."""
        queue = self._queues.get(one.queue)
        if queue is None:
            return False
        if len(queue.waiting) >= self._places:
            self._refuse([one], queue.room)
        else:
            one.since = time.monotonic()
            queue.waiting.append(one)
        return True

    def pause(self) -> float | None:
        """Seconds until a queue should be asked again; None: no queue is full."""
        if not self._queues:
            return None
        return max(0.0, min(queue.asked for queue in self._queues.values()) + PAUSE - time.monotonic())

    def due(self) -> dict[str, list[Pending]]:
        """Of each queue that is to be asked again, its first messages. Those that have waited too long are refused."""
        now, found = time.monotonic(), {}
        for name, queue in list(self._queues.items()):
            if queue.asked + PAUSE > now:
                continue
            late = takewhile(lambda one: one.since + self._longest < now, queue.waiting)
            self._refuse([queue.waiting.popleft() for _ in list(late)], queue.room)
            found[name] = take(queue.waiting)
            if not queue.waiting:
                del self._queues[name]
        return {name: batch for name, batch in found.items() if batch}

    def leave(self) -> list[Pending]:
        """All that wait, in order; the lines are gone."""
        left = [one for queue in self._queues.values() for one in queue.waiting]
        self._queues.clear()
        return left

    def _refuse(self, those: Sequence[Pending], room: Room) -> None:
        if those:
            self._tell(those, QueueFull(f"queue {those[0].queue!r}", room.limit or 0))
