"""What can be wrong with a key, and how it shows in what happened to it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise

from gobroke_dist.audit.history import History, Run, overlapping, settled_by_fence
from gobroke_dist.audit.record import Effect
from gobroke_dist.audit.takeover import Takeover


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


def violations(history: History) -> Iterator[Violation]:
    """All of one key."""
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


def late(taken: Iterable[Takeover], bound: int | None) -> Iterator[Violation]:
    """Takeovers that took longer than ``bound`` milliseconds; None: however long they took."""
    for one in taken:
        if bound is not None and one.calm and one.milliseconds > bound:
            when = datetime.fromtimestamp(one.at / 1000, UTC).strftime("%H:%M:%S")
            text = f"message {one.number} was taken over from {one.from_worker} after {one.milliseconds} ms, at {when}"
            yield Violation(Kind.LATE, one.key, text)


def _lost(history: History) -> Iterator[str]:
    effective = {effect.number for effect in history.effects}
    runs = history.runs_of()
    for number in sorted(history.sent):
        if number not in effective:
            yield f"message {number} had no effect; it was run {len(runs.get(number, ()))} times"


def _duplicates(history: History) -> Iterator[str]:
    """A worker that wakes up may still begin what was taken from it; that attempt did not count, so it comes again."""
    by_attempt: defaultdict[tuple[int, int], list[Run]] = defaultdict(list)
    for run in sorted(history.runs, key=lambda run: run.fence):
        by_attempt[run.number, run.started.attempt].append(run)
    for (number, attempt), runs in by_attempt.items():
        for older, newer in pairwise(runs):
            if not settled_by_fence(older, newer):
                yield f"attempt {attempt} of message {number} was run twice (fences {older.fence} and {newer.fence})"


def _inversions(history: History) -> Iterator[str]:
    """A run that was taken over does not count, whenever a paused worker came to it: its successor does."""
    done: dict[int, int] = {}
    for run in history.runs:
        if run.good and run.left is not None and not run.taken_over:
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
        if not settled_by_fence(first, second):
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
    yield from _seen_twice(history)


def _seen_twice(history: History) -> Iterator[str]:
    """An effect is a message like any other: what was taken from a worker may be seen by both."""
    by_attempt: defaultdict[tuple[str, int], list[Effect]] = defaultdict(list)
    taken: defaultdict[str, list[int]] = defaultdict(list)
    for effect in sorted(history.effects, key=lambda one: one.fence):
        by_attempt[effect.uuid, effect.attempt].append(effect)
        if effect.recovered:
            taken[effect.uuid].append(effect.fence)
    for (uuid, attempt), seen in by_attempt.items():
        for older, newer in pairwise(seen):
            if not any(older.fence < fence <= newer.fence for fence in taken[uuid]):
                fences = f"fences {older.fence} and {newer.fence}"
                yield f"an effect of message {newer.number} came out twice as attempt {attempt} ({fences})"


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


def _first_effects(history: History) -> Iterator[Effect]:
    """Each once: what came out again, because a worker died meanwhile, is the framework's right."""
    seen: set[str] = set()
    for effect in history.effects:
        if effect.uuid not in seen:
            seen.add(effect.uuid)
            yield effect
