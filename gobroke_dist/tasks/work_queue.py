"""The queue between fetching and Dramatiq's worker threads."""

from __future__ import annotations

import threading
from queue import PriorityQueue
from typing import Any


class WorkQueue(PriorityQueue[Any]):
    """Dramatiq's, with a short cut: a thread may leave one item to itself, and wakes no other thread for it."""

    def __init__(self) -> None:
        super().__init__()
        self._own = threading.local()

    @property
    def others_wait(self) -> bool:
        """Whether there are items for any thread."""
        return bool(self.queue)

    def keep(self, item: Any) -> None:
        """Put an item where the next ``get`` of this same thread finds it, before all others."""
        assert getattr(self._own, "item", None) is None
        with self.mutex:
            self.unfinished_tasks += 1
        self._own.item = item

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """As the queue's; what the thread has kept comes first."""
        item = getattr(self._own, "item", None)
        if item is None:
            return super().get(block, timeout)
        self._own.item = None
        return item
