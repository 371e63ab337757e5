"""What this process holds of one queue, and what it has finished of it and Redis does not know yet."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterable, Sequence

from gobroke_dist.tasks.delivery import Settlement, Ticket

QUICK = 0.005
"""Seconds that messages take at most, for answers not to be waited for."""

_WEIGHT = 0.1  # of the last message, in how long messages take

BATCH = 64
"""Settlements in one call: it must not keep Redis from others for long."""

_BATCH_BYTES = 1 << 20


class Desk:
    """Tickets by id, and settlements in their order. It outlives consumers: Dramatiq makes a new one after each
    connection error. Any thread may use it; between ``next_call`` and ``heard`` the caller must hold ``turn``.

    Attributes:
        turn: whoever has it is the one that talks to Redis about this queue.
        in_step: Redis and the desk agree on what this process holds.
        due: when the next message is due that waits for a time, by the monotonic clock.
        answers: how many Redis has given.
    """

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.in_step = False
        self.due = 0.0
        self.answers = 0
        self._pace = math.inf
        self._tickets: dict[str, Ticket] = {}
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        self._emptied = threading.Condition(self._lock)
        self._roomy = threading.Condition(self._lock)
        self._wanted = 0  # tickets below which whoever waits for room is woken
        self._calls = 0
        self._finished: deque[Settlement] = deque()
        self._under_way: deque[list[Settlement]] = deque()

    # --- what is held ----------------------------------------------------------

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, tickets: Iterable[Ticket]) -> None:
        """Note what was fetched."""
        with self._lock:
            self._tickets.update((ticket.id, ticket) for ticket in tickets)

    def remove(self, tickets: Iterable[Ticket]) -> None:
        """Note what was given back; who waits for room is woken."""
        with self._lock:
            self._drop(tickets)
            self._notify()

    def ids(self) -> list[str]:
        """The ids of all that is here."""
        with self._lock:
            return list(self._tickets)

    def wait_for_room(self, size: int, timeout: float) -> bool:
        """Wait until fewer than ``size`` tickets are here, ``timeout`` seconds at most. For one thread at a time."""
        with self._lock:
            self._wanted = size
            return self._roomy.wait_for(lambda: len(self._tickets) < size, timeout)

    def wait_until_empty(self, timeout: float) -> bool:
        """Wait until nothing is held, ``timeout`` seconds at most."""
        with self._lock:
            return self._emptied.wait_for(lambda: not self._tickets, timeout)

    def wait_for_answer(self, answers: int, timeout: float) -> bool:
        """Wait until Redis has given more than so many answers, ``timeout`` seconds at most."""
        with self._lock:
            return self._answered.wait_for(lambda: self.answers > answers, timeout)

    def wait_until_told(self, settlement: Settlement, timeout: float) -> bool:
        """Wait until Redis has confirmed a settlement, ``timeout`` seconds at most."""
        if settlement.standing is not None:
            return True
        told = threading.Event()
        settlement.told = told.set
        return settlement.standing is not None or told.wait(timeout)

    # --- what is finished ------------------------------------------------------

    @property
    def is_quick(self) -> bool:
        """Whether messages take so short that waiting for answers would be most of the time."""
        return self._pace < QUICK

    def took(self, seconds: float) -> None:
        """A message has taken so long."""
        before = self._pace if self._pace < math.inf else seconds
        self._pace = before + _WEIGHT * (seconds - before)

    def finish(self, settlement: Settlement) -> None:
        """Redis is to be told, after all that was finished before."""
        self._finished.append(settlement)

    @property
    def unsaid(self) -> int:
        """How many settlements have not been put into a call."""
        return len(self._finished)

    @property
    def under_way(self) -> int:
        """How many calls have not been answered."""
        return len(self._under_way)

    @property
    def untold(self) -> bool:
        """Whether there is a settlement that Redis has not confirmed."""
        return bool(self._finished or self._under_way)

    def next_call(self) -> int:
        """A number larger than all before, so that a call that Redis sees late is refused."""
        self._calls += 1
        return self._calls

    def batch(self, most: int = BATCH) -> list[Settlement]:
        """What to tell in the next call. Until it is answered, it is in doubt."""
        batch: list[Settlement] = []
        size = 0
        while self._finished and len(batch) < most and size < _BATCH_BYTES:
            batch.append(self._finished.popleft())
            size += batch[-1].size
        self._under_way.append(batch)
        return batch

    def in_doubt(self) -> list[Settlement]:
        """What the oldest call told that has no answer."""
        return self._under_way[0]

    def heard(self, taken: Sequence[Ticket]) -> list[Settlement]:
        """The oldest call was answered: what was told is no longer held, what was taken is. Returns what was told."""
        told = self._under_way.popleft()
        with self._lock:
            self.answers += 1
            self._drop(one.ticket for one in told)
            self._tickets.update((ticket.id, ticket) for ticket in taken)
            self._answered.notify_all()
            self._notify()
        return told

    def _notify(self) -> None:
        """Wake those that have something to do now: it costs a change of threads."""
        if len(self._tickets) < self._wanted:
            self._roomy.notify_all()
        if not self._tickets:
            self._emptied.notify_all()

    def _drop(self, tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            if self._tickets.get(ticket.id) is ticket:
                del self._tickets[ticket.id]
