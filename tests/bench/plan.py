"""What is measured, with whom, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tests.bench.job import Job
from tests.bench.turns import interleaved

OURS, STOCK, HOT, STUB = "gobroke", "stock", "stock-1", "stub"
PEERS = ("celery", "taskiq", "taskiq-list", "arq", "huey")
KNOWS_REDIS = (OURS, STOCK, *PEERS)
SCALES = (OURS, STOCK, "celery", "taskiq", "arq", "huey")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the result.

    Attributes:
        name: on the command line.
        title: for people.
        contestants: in the order in which they take their turns.
        job: what they do; ``messages`` is that of a full run.
        kind: what is measured.
        handled: stop when so many have been handled; 0: all.
        rounds: at most so many; 0: as many as the run has.
        trials: how often a worker is killed.
        quick: part of a quick run.
    """

    name: str
    title: str
    contestants: tuple[str, ...]
    job: Job
    kind: Literal["drain", "latency", "loop", "takeover"] = "drain"
    handled: int = 0
    rounds: int = 0
    trials: int = 0
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A run.

    Attributes:
        cases: of each round.
        rounds: how many.
        idle: seconds for which idle workers are watched.
    """

    cases: tuple[Case, ...]
    rounds: int
    idle: float

    def turns(self) -> Iterator[tuple[int, Case, str]]:
        """All measurements, interleaved: each contestant once, then each again."""
        return interleaved(self.cases, self.rounds)


_JOB = Job(url="", board="", messages=10_000)
_CASES = (
    Case(name="base", title="100 keys", contestants=(OURS, STOCK, HOT, STUB, *PEERS), job=_JOB, quick=True),
    Case(name="one-key", title="1 key", contestants=(OURS, HOT), job=replace(_JOB, keys=1), quick=True),
    Case(
        name="many-keys",
        title="10,000 keys",
        contestants=(OURS, STOCK),
        job=replace(_JOB, keys=10_000, messages=20_000),
    ),
    Case(
        name="async",
        title="100 keys, async def",
        contestants=(OURS, STOCK, "taskiq", "taskiq-list", "arq"),
        job=replace(_JOB, handler="async"),
        quick=True,
    ),
    Case(name="two", title="100 keys, 2 processes", contestants=SCALES, job=replace(_JOB, processes=2)),
    Case(name="four", title="100 keys, 4 processes", contestants=SCALES, job=replace(_JOB, processes=4)),
    Case(name="10kB", title="100 keys, 10 kB", contestants=SCALES, job=replace(_JOB, payload=10_000, messages=4000)),
    Case(
        name="million",
        title="1,000,000 waiting, 100,000 keys",
        contestants=(OURS,),
        job=replace(_JOB, keys=100_000, messages=1_000_000),
        handled=10_000,
        rounds=1,
    ),
    Case(
        name="loop",
        title="holding up the event loop",
        contestants=(OURS,),
        job=replace(_JOB, messages=20_000),
        kind="loop",
        quick=True,
    ),
    Case(
        name="latency",
        title="idle, one message at a time",
        contestants=KNOWS_REDIS,
        job=replace(_JOB, messages=40),
        kind="latency",
        quick=True,
    ),
    Case(
        name="takeover-2s",
        title="takeover, lease of 2 s",
        contestants=(OURS,),
        job=replace(_JOB, processes=2, lease=2.0, messages=2000),
        kind="takeover",
        rounds=1,
        trials=20,
        quick=True,
    ),
    Case(
        name="takeover",
        title="takeover, default settings",
        contestants=(OURS,),
        job=replace(_JOB, processes=2, messages=4000),
        kind="takeover",
        rounds=1,
        trials=20,
    ),
)
NAMES = tuple(case.name for case in _CASES)


def full(only: tuple[str, ...] = ()) -> Plan:
    """Everything, or the cases named."""
    return Plan(tuple(case for case in _CASES if not only or case.name in only), 3, 10.0)


def quick(only: tuple[str, ...] = ()) -> Plan:
    """One round of what matters most, with fewer messages."""
    chosen = tuple(_shortened(case) for case in _CASES if (case.name in only if only else case.quick))
    return Plan(chosen, 1, 4.0)


def _shortened(case: Case) -> Case:
    if case.kind == "latency":
        least = (OURS, STOCK, "taskiq", "huey")
        return replace(case, contestants=least, job=replace(case.job, messages=25))
    if case.kind == "takeover":
        return replace(case, trials=4)
    messages = max(1000, case.job.messages // 2)
    return replace(case, job=replace(case.job, messages=messages), handled=min(case.handled, messages))
