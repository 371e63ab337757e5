"""From an audit's record to a verdict. Pure: no clock, no network."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gobroke_dist.audit.history import History, Run, histories, overlapping
from gobroke_dist.audit.record import Booted, Disturbed, Effect, Entry
from gobroke_dist.audit.takeover import Takeover, takeovers


class Kind(StrEnum):
    """What can be wrong. A key's messages are numbered from 0."""

    LOST = "lost"
    """A message was accepted, and nothing that its handler sent came out."""
    DUPLICATE = "duplicate"
    """One delivery (the same attempt) was run twice."""
    INVERSION = "inversion"
    """A handler was entered before the message before had succeeded, or effects came out in another order."""
    OVERLAP = "overlap"
    """Two handlers of a key ran at once, and neither had been taken from the other."""
    DOUBLED = "doubled"
    """Two runs of a message had effects, or one had the same effect twice."""
    TORN = "torn"
    """Only a part of what one run sent came out."""
    UNFENCED = "unfenced"
    """A run that had been taken over had an effect all the same, or a fence did not grow."""
    UNEARNED = "unearned"
    """A run that raised, or never ended, had an effect."""
    LATE = "late"
    """A takeover that nothing else disturbed took longer than the bound."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong: of which kind, on which key, and what exactly."""

    kind: Kind
    key: str
    text: str


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
        violations=(*(one for history in keys for one in _violations(history)), *_late(taken, takeover_bound)),
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


# --- of one key ------------------------------------------------------------------


def _violations(history: History) -> Iterator[Violation]:
    for kind, found in (
        (Kind.LOST, _lost(history)),
        (Kind.DUPLICATE, _duplicates(history)),
        (Kind.INVERSION, _inversions(history)),
        (Kind.INVERSION, _effect_inversions(history)),
        (Kind.OVERLAP, _overlaps(history)),
        (Kind.DOUBLED, _doubled(history)),
        (Kind.TORN, _torn(history)),
        (Kind.UNFENCED, _unfenced(history)),
        (Kind.UNFENCED, _fences(history)),
        (Kind.UNEARNED, _unearned(history)),
    ):
        yield from (Violation(kind, history.key, text) for text in found)


def _lost(history: History) -> Iterator[str]:
    effective = {effect.number for effect in history.effects}
    runs = history.runs_of()
    for number in sorted(history.sent):
        if number not in effective:
            yield f"message {number} had no effect; it was run {len(runs.get(number, ()))} times"


def _duplicates(history: History) -> Iterator[str]:
    for number, runs in history.runs_of().items():
        for attempt, count in Counter(run.started.attempt for run in runs).items():
            if count > 1:
                yield f"attempt {attempt} of message {number} was run {count} times"


def _inversions(history: History) -> Iterator[str]:
    """A run that was taken over is not judged by when a paused worker came to it: its successor is."""
    done: dict[int, int] = {}
    for run in history.runs:
        if run.good and run.left is not None:
            done[run.number] = min(run.left, done.get(run.number, run.left))
    for run in history.runs:
        before = run.number - 1
        if before in history.sent and not run.taken_over and done.get(before, math.inf) > run.entered:
            yield f"message {run.number} (fence {run.fence}) was started before message {before} had succeeded"


def _effect_inversions(history: History) -> Iterator[str]:
    highest = -1
    for effect in _first_effects(history):
        if effect.number < highest:
            yield f"an effect of message {effect.number} came out after one of message {highest}"
        highest = max(highest, effect.number)


def _overlaps(history: History) -> Iterator[str]:
    for first, second in overlapping(history.runs):
        if not _settled_by_fence(first, second):
            yield (
                f"message {first.number} (fence {first.fence}, {first.started.worker}) and message {second.number} "
                f"(fence {second.fence}, {second.started.worker}) ran at once"
            )


def _doubled(history: History) -> Iterator[str]:
    by_message: defaultdict[int, set[str]] = defaultdict(set)
    for effect in history.effects:
        by_message[effect.number].add(effect.run)
    for number, runs in by_message.items():
        if len(runs) > 1:
            yield f"{len(runs)} runs of message {number} had effects"
    for (uuid, attempt), count in Counter((effect.uuid, effect.attempt) for effect in history.effects).items():
        if count > 1:
            yield f"effect {uuid} came out {count} times as attempt {attempt}"


def _torn(history: History) -> Iterator[str]:
    parts: defaultdict[tuple[int, str], set[int]] = defaultdict(set)
    for effect in history.effects:
        parts[effect.number, effect.run].add(effect.part)
    for (number, _), found in parts.items():
        sent = history.sent.get(number)
        if sent is not None and found != set(range(sent.parts)):
            yield f"of message {number}, parts {sorted(found)} of {sent.parts} came out"


def _unfenced(history: History) -> Iterator[str]:
    effective = {effect.run for effect in history.effects}
    for run in history.runs:
        if run.taken_over and run.started.run in effective:
            yield f"message {run.number} was taken from {run.started.worker}; its fence {run.fence} still counted"


def _fences(history: History) -> Iterator[str]:
    highest = 0
    for run in history.runs:
        if run.taken_over:
            continue
        if run.fence <= highest:
            yield f"message {run.number} was started with fence {run.fence} after fence {highest}"
        highest = max(highest, run.fence)


def _unearned(history: History) -> Iterator[str]:
    effective = {effect.run for effect in history.effects}
    for run in history.runs:
        if run.started.run in effective and not run.good:
            yield f"attempt {run.started.attempt} of message {run.number} did not succeed, and had an effect"


def _late(taken: Iterable[Takeover], bound: int | None) -> Iterator[Violation]:
    for one in taken:
        if bound is not None and one.calm and one.milliseconds > bound:
            yield Violation(Kind.LATE, one.key, f"message {one.number} was taken over after {one.milliseconds} ms")


# --- numbers ---------------------------------------------------------------------


def _first_effects(history: History) -> Iterator[Effect]:
    """Each once: what came out again, because a worker died meanwhile, is the framework's right."""
    seen: set[str] = set()
    for effect in history.effects:
        if effect.uuid not in seen:
            seen.add(effect.uuid)
            yield effect


def _fenced(history: History) -> int:
    pairs = overlapping(history.runs)
    return sum(_settled_by_fence(a, b) and a.left is not None and b.left is not None for a, b in pairs)


def _settled_by_fence(first: Run, second: Run) -> bool:
    """Whether the older delivery had been taken over when the newer one was made."""
    older, newer = sorted((first, second), key=lambda run: run.fence)
    return older.heir is not None and older.heir <= newer.fence


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
