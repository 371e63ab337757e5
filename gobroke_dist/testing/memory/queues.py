"""All queues of an in-memory cluster: what their workers, senders and operators have in common."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Mapping

from gobroke_dist.clock import Clock
from gobroke_dist.errors import FrameInvalid, QueueFull
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.message import Message
from gobroke_dist.settings import Settings
from gobroke_dist.testing.memory.letters import DeadLetter, Handed, Letter, argument
from gobroke_dist.testing.memory.queue import Accepted, MemoryQueue

_Waiting = tuple[Letter, "asyncio.Future[None]"]


class Queues:
    """Args:
    logics: the application's, by name; read when it matters, so it may change.
    settings: ``dedup_window`` and ``full_timeout`` are used here.
    clock: the cluster's.
    """

    def __init__(self, logics: Mapping[str, LogicBase], settings: Settings, clock: Clock) -> None:
        self._logics = logics
        self._settings = settings
        self._clock = clock
        self._queues: dict[str, MemoryQueue] = {}
        self._lines: defaultdict[str, deque[_Waiting]] = defaultdict(deque)
        self._fired: dict[str, int] = {}
        self._bells: list[Callable[[], None]] = []

    def of(self, logic: str) -> MemoryQueue:
        """The queue of a logic."""
        if logic not in self._queues:
            self._queues[logic] = MemoryQueue(self._settings.dedup_window)
        return self._queues[logic]

    def listen(self, bell: Callable[[], None]) -> None:
        """Have ``bell`` called whenever there may be something to take."""
        self._bells.append(bell)

    def ring(self) -> None:
        """There may be something to take."""
        for bell in self._bells:
            bell()

    # --- senders -----------------------------------------------------------------

    def place(self, letter: Letter) -> Accepted:
        """Take what a worker or a schedule sends: it is exempt from the bound (contract W14)."""
        accepted = self.of(letter.logic).accept(letter, self._clock.monotonic())
        self.ring()
        return accepted

    def offer(self, letter: Letter) -> asyncio.Future[None]:
        """Take what an edge sends. The future raises ``QueueFull``, at once or when it has waited for long enough."""
        accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line = self._lines[letter.logic]
        if not line and self._accept(letter) != "full":
            accepted.set_result(None)
        elif self._logics[letter.logic].on_full == "refuse":
            accepted.set_exception(self._full(letter.logic))
        else:
            line.append((letter, accepted))
            asyncio.get_running_loop().call_later(self._settings.full_timeout, self._give_up, letter.logic, accepted)
        return accepted

    def fire(self, letter: Letter, nominal_ms: int) -> bool:
        """Claim a nominal time and take its run; False: it, or a later one, was claimed before (P3)."""
        if nominal_ms <= self._fired.get(letter.logic, -1):
            return False
        self._fired[letter.logic] = nominal_ms
        self.place(letter)
        return True

    def fired(self, nominal_ms: Mapping[str, int]) -> dict[str, int]:
        """The last claim of each logic; where there is none yet, the given one is noted as if it had been."""
        return {name: self._fired.setdefault(name, first) for name, first in nominal_ms.items()}

    def _accept(self, letter: Letter) -> Accepted:
        logic = self._logics.get(letter.logic)
        limit = logic.max_waiting if logic is not None and logic.logic_type is LogicType.WORKER else None
        accepted = self.of(letter.logic).accept(letter, self._clock.monotonic(), limit=limit)
        self.ring()
        return accepted

    def _full(self, logic: str) -> QueueFull:
        declared = self._logics.get(logic)
        return QueueFull(f"queue {logic!r}", 0 if declared is None else declared.max_waiting or 0)

    def _give_up(self, logic: str, accepted: asyncio.Future[None]) -> None:
        line = self._lines[logic]
        self._lines[logic] = deque(one for one in line if one[1] is not accepted)
        if not accepted.done():
            accepted.set_exception(self._full(logic))

    def _let_in(self, logic: str) -> None:
        line = self._lines[logic]
        while line and self._accept(line[0][0]) != "full":
            _, accepted = line.popleft()
            if not accepted.done():
                accepted.set_result(None)

    # --- workers -----------------------------------------------------------------

    def commit(self, handed: Handed) -> None:
        """It is done."""
        self.of(handed.letter.logic).commit(handed)
        self._moved(handed.letter.logic)

    def retry(self, handed: Handed, delay: float) -> None:
        """It failed, and runs again in ``delay`` seconds."""
        self.of(handed.letter.logic).put_off(handed)
        asyncio.get_running_loop().call_later(delay, self._release, handed)

    def bury(self, handed: Handed, reason: str, error: str) -> None:
        """It is given up."""
        letter, queue = handed.letter, self.of(handed.letter.logic)
        dead = DeadLetter(
            logic=letter.logic,
            uuid=letter.id,
            reason=reason,
            error=error,
            attempts=handed.delivery.attempt,
            key=letter.key,
            message=_message(handed),
            letter=letter,
            seq=queue.seq_of(handed),
        )
        logic = self._logics.get(letter.logic)
        queue.bury(handed, dead, "skip" if logic is None else logic.on_poison)
        self._moved(letter.logic)

    def recover(self, worker: str) -> None:
        """A worker's lease is over: its messages go to others, or are given up if they may not run again (W9, W10)."""
        for name, queue in self._queues.items():
            logic = self._logics.get(name)
            for handed in queue.recover(worker):
                if logic is not None and handed.delivery.attempt >= logic.max_attempts:
                    queue.withdraw(handed.letter.id)
                    self.bury(handed, "crashed", "the process that ran it died")
        self.ring()

    def _release(self, handed: Handed) -> None:
        self.of(handed.letter.logic).release(handed.letter.id)
        self.ring()

    def _moved(self, logic: str) -> None:
        self._let_in(logic)
        self.ring()

    # --- operators ---------------------------------------------------------------

    def requeue(self, logic: str, uuid: str) -> None:
        """Make a dead letter a message again. Raises ``KeyError``: there is none."""
        self.of(logic).requeue(uuid, self._clock.monotonic())
        self.ring()

    def discard(self, logic: str, uuid: str) -> None:
        """Delete a dead letter for good. Raises ``KeyError``: there is none."""
        self.of(logic).discard(uuid)
        self.ring()

    def resume(self, logic: str) -> None:
        """Hand out the messages of a halted logic again."""
        self.of(logic).halted = False
        self.ring()


def _message(handed: Handed) -> Message | None:
    try:
        found = argument(handed)
    except FrameInvalid:
        return None
    return found if isinstance(found, Message) else None
