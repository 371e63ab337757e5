"""An outlet whose effects become visible when the message being handled is acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from gobroke_dist.bus import Bus
from gobroke_dist.message import Message
from gobroke_dist.outlet import Task
from gobroke_dist.testing.memory.letters import Letter, written
from gobroke_dist.testing.memory.queues import Queues


@dataclass(frozen=True, slots=True)
class _Effect:
    """What is to be done on the bus."""

    carry_out: Callable[[Bus], object]


@dataclass(slots=True)
class MemoryTransaction:
    """What one handler sends, in order. Dropped when the handler fails (contract W7).

    Attributes:
        after_commit: what DISPATCHED logics of this process are to process once the commit is done.
    """

    deferred: ClassVar[bool] = True
    after_commit: list[tuple[str, Message]] = field(default_factory=list)
    _effects: list[_Effect | Task] = field(default_factory=list)
    _sealed: list[_Effect | Letter] = field(default_factory=list)

    def send(self, data: bytes, uuids: Sequence[str], groups: Sequence[str] = ()) -> None:
        self._effects.append(_Effect(lambda bus: bus.send(data, uuids, groups)))

    def publish(self, node: str, data: bytes) -> None:
        self._effects.append(_Effect(lambda bus: bus.publish(node, data)))

    def broadcast(self, data: bytes) -> None:
        self._effects.append(_Effect(lambda bus: bus.broadcast(data)))

    def enqueue(self, task: Task) -> None:
        self._effects.append(task)

    def dispatch(self, logic: str, message: Message) -> None:
        self.after_commit.append((logic, message))

    async def settled(self) -> tuple[str, ...]:
        return ()

    def seal(self) -> None:
        """The handler has ended: write down what it sent. Raises ``TypeError`` or ``ValueError``: it is no JSON."""
        self._sealed = [written(effect) if isinstance(effect, Task) else effect for effect in self._effects]

    def carry_out(self, bus: Bus, queues: Queues) -> None:
        """Make all of it visible, without a moment in between."""
        for effect in self._sealed:
            if isinstance(effect, Letter):
                queues.place(effect)
            else:
                effect.carry_out(bus)
