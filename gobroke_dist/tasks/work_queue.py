"""The queue between fetching and Dramatiq's worker threads."""

from __future__ import annotations

import threading
from queue import Empty, PriorityQueue
from typing import Any


class WorkQueue(PriorityQueue[Any]):
    """Dramatiq's, with a short cut: a thread may leave one item to itself, and wakes no other thread for it."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[int, Any] = {}

    @property
    def others_wait(self) -> bool:
        """Whether there are items for any thread."""
        return bool(self.queue)

    def keep(self, item: Any) -> None:
        """Put an item where the next ``get`` of this same thread finds it, before all others."""
        with self.mutex:
            self.unfinished_tasks += 1
        self._kept[threading.get_ident()] = item

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """As the queue's; what the thread has kept comes first.

        Who does not wait gets also what other threads keep: so Dramatiq empties the queue of a worker that ends.
        """
        item = self._kept.pop(threading.get_ident(), None)
        if item is not None:
            return item
        try:
            return super().get(block, timeout)
        except Empty:
            if block or not self._kept:
                raise
            return self._kept.popitem()[1]
