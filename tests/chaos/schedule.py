"""Which fault comes when: a pure function of the seed, so that a run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        at: seconds from the start of the load.
        what: ``kill``, ``term``, ``stop`` (of a worker), ``freeze``, ``redis``, ``full`` or ``hold``.
        slot: the worker's place.
        seconds: how long it lasts, where it lasts.
    """

    at: float
    what: str
    slot: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what happens. Times are seconds; 0: never.

    Attributes:
        kill, term, stop, hold: from one to the next.
        freezes: how long Redis stands still, each once.
        redis: how often Redis is killed, in all.
        full: how long its memory is full, each once.
    """

    kill: float = 3.0
    term: float = 10.0
    stop: float = 13.0
    hold: float = 17.0
    freezes: tuple[float, ...] = (1.0, 3.0, 7.0, 30.0)
    redis: int = 2
    full: tuple[float, ...] = (8.0,)


def plan(seed: int, seconds: float, *, workers: int, lease: float, pace: Pace) -> tuple[Fault, ...]:
    """The faults of a run that sends for so many seconds, in order."""
    dice = random.Random(seed)
    faults = [
        *_every(dice, "kill", pace.kill, seconds, workers),
        *_every(dice, "term", pace.term, seconds, workers),
        *(
            Fault(one.at, one.what, one.slot, lease + 0.5 + 1.5 * dice.random())
            for one in _every(dice, "stop", pace.stop, seconds, workers)
        ),
        *(Fault(one.at, "hold", 0, 3.0) for one in _every(dice, "hold", pace.hold, seconds, workers)),
        *_one_after_another(dice, _of_redis(pace), seconds),
    ]
    return tuple(sorted(faults, key=lambda one: one.at))


def _every(dice: random.Random, what: str, pause: float, seconds: float, workers: int) -> list[Fault]:
    if not pause:
        return []
    times = [pause * (count + 0.5) for count in range(int(seconds / pause))]
    return [Fault(round(at + dice.uniform(0, pause / 4), 2), what, dice.randrange(workers)) for at in times]


def _of_redis(pace: Pace) -> list[Fault]:
    return [
        *(Fault(0, "freeze", seconds=seconds) for seconds in pace.freezes),
        *(Fault(0, "redis") for _ in range(pace.redis)),
        *(Fault(0, "full", seconds=seconds) for seconds in pace.full),
    ]


def _one_after_another(dice: random.Random, faults: Sequence[Fault], seconds: float) -> list[Fault]:
    """Shuffled, and with equal pauses between them, so that each meets a deployment that works again."""
    shuffled = list(faults)
    dice.shuffle(shuffled)
    pause = (seconds - sum(one.seconds for one in shuffled)) / (len(shuffled) + 1)
    placed, at = [], 0.0
    for one in shuffled:
        at += pause
        placed.append(Fault(round(at, 2), one.what, seconds=one.seconds))
        at += one.seconds
    return placed
