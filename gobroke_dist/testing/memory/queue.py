"""One logic's queue, as a state machine: the rules of strict order, and nothing that waits."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from gobroke_dist.logic import OnPoison
from gobroke_dist.message import Delivery
from gobroke_dist.testing.memory.letters import DeadLetter, Handed, Letter

Accepted = Literal["new", "known", "full"]


@dataclass(slots=True, eq=False)
class _Entry:
    """A message that waits or runs. ``fence`` and ``worker`` are those of its run; 0 and "": it waits."""

    letter: Letter
    seq: int
    accepted: float
    attempts: int = 0
    recovered: bool = False
    fence: int = 0
    worker: str = ""


class MemoryQueue:
    """Only the first message of each key is ready to be taken; the others wait behind it (contract W2).

    Args:
        window: seconds in which a uuid is accepted once (W12).

    Attributes:
        halted: whether nothing is handed out until ``resume``.
        dead: the dead letters by uuid, oldest first.
    """

    def __init__(self, window: float) -> None:
        self.halted = False
        self.dead: dict[str, DeadLetter] = {}
        self._window = window
        self._entries: dict[str, _Entry] = {}
        self._lanes: dict[str, deque[str]] = {}  # key -> ids, the head first, be it that it runs or is dead and halts
        self._halts: dict[str, str] = {}  # key -> id of the dead letter that it waits for
        self._ready: deque[str] = deque()
        self._seen: dict[str, float] = {}
        self._seq = self._fence = 0

    def __len__(self) -> int:
        return len(self._entries)

    # --- on the way in -----------------------------------------------------------

    def accept(self, letter: Letter, now: float, *, limit: int | None = None) -> Accepted:
        """Take a message, once. ``limit``: how many the queue may hold."""
        if letter.id in self._entries or self._was_seen(letter.id, now):
            return "known"
        if limit is not None and len(self._entries) >= limit:
            return "full"
        self._seen[letter.id] = now
        self._seq += 1
        self._line_up(_Entry(letter, self._seq, now))
        return "new"

    def _was_seen(self, id_: str, now: float) -> bool:
        seen = self._seen.get(id_)
        return seen is not None and now - seen < self._window

    def _line_up(self, entry: _Entry) -> None:
        letter = entry.letter
        self._entries[letter.id] = entry
        if letter.key is not None:
            lane = self._lanes.setdefault(letter.key, deque())
            lane.append(letter.id)
            if len(lane) > 1:
                return
        self._ready.append(letter.id)

    # --- a delivery --------------------------------------------------------------

    def take(self, worker: str, now: float) -> Handed | None:
        """The next message that may run; None: there is none."""
        if self.halted or not self._ready:
            return None
        entry = self._entries[self._ready.popleft()]
        self._fence += 1
        entry.fence, entry.worker = self._fence, worker
        entry.attempts += 1
        delivery = Delivery(entry.attempts, entry.recovered, entry.fence, entry.seq, now - entry.accepted)
        return Handed(entry.letter, delivery)

    def holds(self, handed: Handed) -> bool:
        """Whether this is still the delivery that counts (W8)."""
        entry = self._entries.get(handed.letter.id)
        return entry is not None and entry.fence == handed.delivery.fence

    def commit(self, handed: Handed) -> None:
        """It is done; the next of its key may run."""
        del self._entries[handed.letter.id]
        self._go_on(handed.letter.key)

    def put_off(self, handed: Handed) -> None:
        """It keeps its place until ``release`` (W4)."""
        entry = self._entries[handed.letter.id]
        entry.fence, entry.worker = 0, ""

    def release(self, id_: str) -> None:
        """What was put off may run again."""
        self._ready.append(id_)

    def bury(self, handed: Handed, dead: DeadLetter, on_poison: OnPoison) -> None:
        """It is a dead letter; then its key, or the whole logic, goes on or does not (W10)."""
        id_, key = handed.letter.id, handed.letter.key
        del self._entries[id_]
        self.dead[id_] = dead
        self.halted = self.halted or on_poison == "halt_logic"
        if key is not None and on_poison != "skip":
            self._halts[key] = id_
        else:
            self._go_on(key)

    def seq_of(self, handed: Handed) -> int:
        """The number that its message got when it was accepted."""
        return self._entries[handed.letter.id].seq

    def _go_on(self, key: str | None) -> None:
        if key is None:
            return
        lane = self._lanes[key]
        lane.popleft()
        if lane:
            self._ready.append(lane[0])
        else:
            del self._lanes[key]

    # --- a worker that is gone ---------------------------------------------------

    def recover(self, worker: str) -> list[Handed]:
        """Take back what a worker held, to the front, in order. Returns it."""
        held = sorted(
            (entry for entry in self._entries.values() if entry.worker == worker), key=lambda entry: entry.fence
        )
        for entry in reversed(held):
            entry.fence, entry.worker, entry.recovered = 0, "", True
            self._ready.appendleft(entry.letter.id)
        return [Handed(entry.letter, Delivery(entry.attempts, recovered=True)) for entry in held]

    def withdraw(self, id_: str) -> None:
        """What was taken back must not run again; ``bury`` comes next."""
        self._ready.remove(id_)

    # --- operators ---------------------------------------------------------------

    def requeue(self, uuid: str, now: float) -> None:
        """Make a dead letter a message again, at its old place if its key waits for it. Raises ``KeyError``."""
        dead = self.dead.pop(uuid)
        key = dead.key
        if key is not None and self._halts.get(key) == uuid:
            del self._halts[key]
            self._entries[uuid] = _Entry(dead.letter, dead.seq, now)
            self._ready.append(uuid)
            return
        self._seq += 1
        self._line_up(_Entry(dead.letter, self._seq, now))

    def discard(self, uuid: str) -> None:
        """Delete a dead letter; a key that waits for it goes on. Raises ``KeyError``."""
        key = self.dead.pop(uuid).key
        if key is not None and self._halts.get(key) == uuid:
            del self._halts[key]
            self._go_on(key)
