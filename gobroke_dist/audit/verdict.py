"""From an audit's record to a verdict. Pure: no clock, no network."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gobroke_dist.audit.history import History, histories, overlapping, settled_by_fence
from gobroke_dist.audit.record import Booted, Disturbed, Entry
from gobroke_dist.audit.takeover import Takeover, takeovers
from gobroke_dist.audit.violations import Kind, Violation, late, violations


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds; nearest rank."""

    count: int
    p50: int
    p95: int
    p99: int
    max: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The numbers of an audit.

    Attributes:
        keys, sent: ordering keys, and messages that were accepted.
        runs: entries of handlers.
        again: those of them that were not the first of their message.
        raised: those that raised.
        recovered: those that were told that they took over from another worker.
        fenced: runs that went on at the same time as the one that had taken over from them.
        refused: runs that ended well after they had been taken over, and had no effect, as it must be.
        violations: everything that is wrong.
        latency: from sending to the first entry of the handler.
        effect_latency: from sending to the first effect.
        takeovers: all that could be timed.
        workers: worker -> how far its clock is ahead, in milliseconds.
        disturbances: what was done to workers, by kind.
    """

    keys: int
    sent: int
    runs: int
    again: int
    raised: int
    recovered: int
    fenced: int
    refused: int
    violations: tuple[Violation, ...]
    latency: Percentiles | None
    effect_latency: Percentiles | None
    takeovers: tuple[Takeover, ...]
    workers: Mapping[str, int]
    disturbances: Mapping[str, int]

    def count(self, kind: Kind) -> int:
        """How many violations of one kind there are."""
        return sum(one.kind is kind for one in self.violations)

    def by_key(self) -> dict[str, dict[str, int]]:
        """The violations' kinds and counts, for the keys that have any."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for one in self.violations:
            found[one.key][one.kind] += 1
        return {key: dict(counts) for key, counts in sorted(found.items())}

    @property
    def good(self) -> bool:
        """Whether something was sent, and nothing is wrong with it."""
        return self.sent > 0 and not self.violations

    def takeover_times(self, *, calm: bool) -> Percentiles | None:
        """Of the takeovers that nothing else disturbed, or of all others."""
        return percentiles(one.milliseconds for one in self.takeovers if one.calm is calm)


def judge(record: Sequence[Entry], *, takeover_bound: int | None = None) -> Verdict:
    """The verdict on a record.

    Args:
        record: all entries, in the order in which they were written.
        takeover_bound: milliseconds that a takeover may take; None: any.
    """
    keys = [history for history in histories(record).values() if history.sent]
    runs = [run for history in keys for run in history.runs]
    taken = takeovers(record, keys, margin=takeover_bound or 0)
    disturbed = Counter(entry.what for entry in record if isinstance(entry, Disturbed))
    return Verdict(
        keys=len(keys),
        sent=sum(len(history.sent) for history in keys),
        runs=len(runs),
        again=len(runs) - len({(run.started.key, run.number) for run in runs}),
        raised=sum(run.left is not None and not run.good for run in runs),
        recovered=sum(run.started.recovered for run in runs),
        fenced=sum(_fenced(history) for history in keys),
        refused=sum(_refused(history) for history in keys),
        violations=(*(one for history in keys for one in violations(history)), *late(taken, takeover_bound)),
        latency=percentiles(_waits(keys)),
        effect_latency=percentiles(_effect_waits(keys)),
        takeovers=taken,
        workers={one.worker: one.wall - one.at for one in record if isinstance(one, Booted)},
        disturbances=dict(disturbed),
    )


def percentiles(milliseconds: Iterable[int]) -> Percentiles | None:
    """None of nothing."""
    ordered = sorted(milliseconds)
    if not ordered:
        return None

    def rank(share: float) -> int:
        return ordered[math.ceil(share * len(ordered)) - 1]

    return Percentiles(len(ordered), rank(0.50), rank(0.95), rank(0.99), ordered[-1])


# --- numbers ---------------------------------------------------------------------


def _fenced(history: History) -> int:
    pairs = (pair for pair in overlapping(history.runs) if settled_by_fence(*pair))
    older = (min(pair, key=lambda run: run.fence) for pair in pairs if all(run.left is not None for run in pair))
    return len({run.started.run for run in older})


def _refused(history: History) -> int:
    effective = {effect.run for effect in history.effects}
    return sum(run.taken_over and run.good and run.started.run not in effective for run in history.runs)


def _waits(keys: Iterable[History]) -> Iterator[int]:
    for history in keys:
        for number, runs in history.runs_of().items():
            if number in history.sent:
                yield runs[0].started.at - history.sent[number].at


def _effect_waits(keys: Iterable[History]) -> Iterator[int]:
    for history in keys:
        first: dict[int, int] = {}
        for effect in history.effects:
            first.setdefault(effect.number, effect.at)
        yield from (at - history.sent[number].at for number, at in first.items() if number in history.sent)
