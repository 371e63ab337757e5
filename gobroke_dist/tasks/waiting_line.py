"""Messages that wait, in this process and in their order, for room in a full queue."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from gobroke_dist.errors import QueueFull
from gobroke_dist.tasks.limits import Room
from gobroke_dist.tasks.parcel import Parcel

PAUSE = 0.05
"""Seconds from one question for room to the next."""

_BATCH = 500


@dataclass(slots=True)
class Pending:
    """A message on its way. ``accepted`` is done when Redis has it; ``since``: when it first found its queue full."""

    parcel: Parcel
    accepted: asyncio.Future[None]
    since: float = 0.0


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
    """

    def __init__(self, longest: float, places: int) -> None:
        self._longest = longest
        self._places = places
        self._queues: dict[str, _Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    def stand(self, refused: Sequence[Pending], room: Room) -> None:
        """Put messages that there was no room for in front of those that follow them, or refuse them."""
        if not room.waits:
            self._refuse(refused, room)
            return
        queue = self._queues.setdefault(refused[0].parcel.queue, _Queue(room))
        queue.asked = now = time.monotonic()
        for one in reversed(refused):
            one.since = one.since or now
            queue.waiting.appendleft(one)
        while len(queue.waiting) > self._places:
            self._refuse([queue.waiting.pop()], room)

    def follow(self, one: Pending) -> bool:
        """Whether others of this message's queue wait already, and it has been put behind them, or refused."""
        queue = self._queues.get(one.parcel.queue)
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
            while queue.waiting and queue.waiting[0].since + self._longest < now:
                self._refuse([queue.waiting.popleft()], queue.room)
            found[name] = [queue.waiting.popleft() for _ in range(min(_BATCH, len(queue.waiting)))]
            if not queue.waiting:
                del self._queues[name]
        return {name: batch for name, batch in found.items() if batch}

    def leave(self) -> list[Pending]:
        """All that wait, in order; the lines are gone."""
        left = [one for queue in self._queues.values() for one in queue.waiting]
        self._queues.clear()
        return left

    @staticmethod
    def _refuse(those: Sequence[Pending], room: Room) -> None:
        for one in those:
            if not one.accepted.done():
                one.accepted.set_exception(QueueFull(f"queue {one.parcel.queue!r}", room.limit or 0))
