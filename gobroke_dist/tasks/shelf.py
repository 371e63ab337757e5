"""What this process has fetched from one queue and not yet settled."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from gobroke_dist.tasks.delivery import Ticket


class Shelf:
    """Tickets by id. It outlives consumers: Dramatiq makes a new one after each connection error."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}
        self._changed = threading.Condition()
        self._calls = 0

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, tickets: Iterable[Ticket]) -> None:
        """Note what was fetched."""
        with self._changed:
            self._tickets.update((ticket.id, ticket) for ticket in tickets)

    def remove(self, tickets: Iterable[Ticket]) -> None:
        """Note what was settled or given back; who waits for room is woken."""
        with self._changed:
            for ticket in tickets:
                if self._tickets.get(ticket.id) is ticket:
                    del self._tickets[ticket.id]
            self._changed.notify_all()

    def ids(self) -> list[str]:
        """The ids of all that is here."""
        with self._changed:
            return list(self._tickets)

    def next_call(self) -> int:
        """A number for a fetch or reclaim, larger than all before, so that one that Redis sees late is refused."""
        with self._changed:
            self._calls += 1
            return self._calls

    def wait_for_room(self, size: int, timeout: float) -> bool:
        """Wait until fewer than ``size`` tickets are here, ``timeout`` seconds at most."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._tickets) < size, timeout)
