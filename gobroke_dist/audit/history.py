"""An audit's record, sorted by key."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gobroke_dist.audit.record import Effect, Ended, Entry, Sent, Started


@dataclass(slots=True)
class Run:
    """One entry of a handler. Positions are places in the record.

    Attributes:
        started: what it wrote first.
        entered: position of that.
        left: position of its last word; None: it never got there.
        good: it returned, and did not raise.
        heir: the fence of the first later delivery of its message that says: taken from a worker; None: none does.
    """

    started: Started
    entered: int
    left: int | None = None
    good: bool = False
    heir: int | None = None

    @property
    def taken_over(self) -> bool:
        """Whether another worker has been given its message."""
        return self.heir is not None

    @property
    def number(self) -> int:
        """The message's."""
        return self.started.number

    @property
    def fence(self) -> int:
        """This delivery's."""
        return self.started.fence

    def runs_at(self, position: int) -> bool:
        """Whether it had not left yet; one that never left may run for ever."""
        return self.left is None or self.left > position


@dataclass(slots=True)
class History:
    """What happened to one key.

    Attributes:
        sent: accepted messages by number.
        runs: in the order in which they were entered.
        effects: in the order in which they came out.
    """

    key: str
    sent: dict[int, Sent] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)

    def runs_of(self) -> dict[int, list[Run]]:
        """The runs by message, in order."""
        found: defaultdict[int, list[Run]] = defaultdict(list)
        for run in self.runs:
            found[run.number].append(run)
        return found


def histories(record: Iterable[Entry]) -> dict[str, History]:
    """By key. An entry that was written twice, because the answer to the first try was lost, counts once."""
    found: dict[str, History] = {}
    runs: dict[str, Run] = {}
    seen: set[str] = set()
    for position, entry in enumerate(record):
        match entry:
            case Sent():
                _of(found, entry.key).sent[entry.number] = entry
            case Started() if entry.run not in runs:
                runs[entry.run] = Run(entry, position)
                _of(found, entry.key).runs.append(runs[entry.run])
            case Ended() if entry.run in runs and runs[entry.run].left is None:
                runs[entry.run].left, runs[entry.run].good = position, entry.good
            case Effect() if entry.seen not in seen:
                seen.add(entry.seen)
                _of(found, entry.key).effects.append(entry)
            case _:
                pass
    for history in found.values():
        _mark_taken_over(history.runs_of().values())
    return found


def _of(found: dict[str, History], key: str) -> History:
    return found.setdefault(key, History(key))


def _mark_taken_over(messages: Iterable[Sequence[Run]]) -> None:
    for runs in messages:
        heirs = sorted(run.fence for run in runs if run.started.recovered)
        for run in runs:
            run.heir = next((fence for fence in heirs if fence > run.fence), None)


def overlapping(runs: Sequence[Run]) -> Iterator[tuple[Run, Run]]:
    """Pairs of runs of one key that may have run at once, the one that was entered first in front."""
    open_: list[Run] = []
    for run in runs:
        open_ = [one for one in open_ if one.runs_at(run.entered)]
        yield from ((one, run) for one in open_)
        open_.append(run)


def settled_by_fence(first: Run, second: Run) -> bool:
    """Whether the older delivery had been taken over when the newer one was made."""
    older, newer = sorted((first, second), key=lambda run: run.fence)
    return older.heir is not None and older.heir <= newer.fence
