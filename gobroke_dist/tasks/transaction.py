"""An outlet whose effects become visible in the step that acknowledges the message being handled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from gobroke_dist.keys import ClusterKeys
from gobroke_dist.message import Message
from gobroke_dist.outlet import Task
from gobroke_dist.tasks.delivery import Dispatch, Publication, Sending


@dataclass(slots=True)
class Transaction:
    """What one handler sends, in order. Dropped when the handler fails (contract W7).

    Args:
        keys: the cluster's keys.

    Attributes:
        effects: what was sent, in the order of the calls.
        after_commit: what DISPATCHED logics of this process are to process once the commit is done.
    """

    keys: ClusterKeys
    deferred: ClassVar[bool] = True
    effects: list[Publication | Sending | Task] = field(default_factory=list)
    after_commit: list[Dispatch] = field(default_factory=list)

    def send(self, data: bytes, uuids: Sequence[str], groups: Sequence[str] = ()) -> None:
        self.effects.append(Sending(data, tuple(uuids), tuple(groups)))

    def publish(self, node: str, data: bytes) -> None:
        self.effects.append(Publication(self.keys.channel(node), data))

    def broadcast(self, data: bytes) -> None:
        self.effects.append(Publication(self.keys.everyone, data))

    def enqueue(self, task: Task) -> None:
        self.effects.append(task)

    def dispatch(self, logic: str, message: Message) -> None:
        self.after_commit.append((logic, message))

    async def settled(self) -> tuple[str, ...]:
        """At once: the commit can't leave any of it out. Which clients are nowhere by then is not known yet."""
        return ()
