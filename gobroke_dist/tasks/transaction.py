"""An outlet whose effects become visible in the step that acknowledges the message being handled."""

from __future__ import annotations

from dataclasses import dataclass, field

from gobroke_dist.backends.registration import node_head
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.message import Message
from gobroke_dist.outlet import Task
from gobroke_dist.tasks.delivery import Dispatch, Publication


@dataclass(slots=True)
class Transaction:
    """What one handler sends, in order. Dropped when the handler fails (contract W7).

    Args:
        keys: the cluster's keys.

    Attributes:
        effects: publications and tasks, in the order of the calls.
        after_commit: what DISPATCHED logics of this process are to process once the commit is done.
    """

    keys: ClusterKeys
    effects: list[Publication | Task] = field(default_factory=list)
    after_commit: list[Dispatch] = field(default_factory=list)

    def publish(self, node: str, data: bytes, uuids: tuple[str, ...]) -> None:
        self.effects.append(Publication(self.keys.channel(node), data, node_head(node), uuids))

    def broadcast(self, data: bytes) -> None:
        self.effects.append(Publication(self.keys.everyone, data))

    def enqueue(self, task: Task) -> None:
        self.effects.append(task)

    def dispatch(self, logic: str, message: Message) -> None:
        self.after_commit.append((logic, message))

    async def settled(self) -> tuple[str, ...]:
        """At once: the commit can't leave any of it out. Whether a node is gone by then is not known yet."""
        return ()
