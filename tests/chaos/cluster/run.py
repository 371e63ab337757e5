"""One run of the cluster path: edges, clients, and the faults of a schedule; and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.cluster.events import ACCEPTED, EVERYBODY
from tests.chaos.cluster.faults import Faults
from tests.chaos.cluster.ledger import Kind, Ledger, Span, Violation
from tests.chaos.cluster.schedule import Plan, Step
from tests.chaos.cluster.stage import Edge, Stage, staged

RECOVERY_BOUND = 30.0
"""Seconds in which everything must be well again by itself after a fault."""

GROWTH_BOUND = (0.25, 16 * 1024)
"""How much more an edge may hold than at first: a share of that, and KiB."""

_GRACE = 1.0  # a message that was accepted just now may still be on its way
_TAKING = 0.5
_LOOK_AGAIN = 0.25
_WARM_UP = 4.0
_FRIENDS = 3
_UNDER_WAY = 2.0  # seconds that coming back takes at most, when all is well
_UNEXPECTED = "Traceback (most recent call last)"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Load:
    """Who sends what.

    Attributes:
        clients: how many there are; all come back.
        senders: how many of them send, each to a few others.
        burst: messages that one sends right after another.
        pause: seconds between its bursts, on average.
        loud: how many send to everybody, one message at a time, and how long they pause.
        flap: seconds from one client's losing its connection to the next one's.
    """

    clients: int = 2000
    senders: int = 250
    burst: int = 4
    pause: float = 4.0
    loud: tuple[int, float] = (2, 10.0)
    flap: float = 0.25

    @property
    def people(self) -> list[str]:
        """All their names."""
        return [f"c{number:04}" for number in range(self.clients)]

    def friends(self, seed: int) -> dict[str, list[str]]:
        """To whom each of the senders sends."""
        dice, people = random.Random(f"{seed}/friends"), self.people
        senders = dice.sample(people, self.senders)
        return {sender: dice.sample([one for one in people if one != sender], _FRIENDS) for sender in senders}


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is run.

    Attributes:
        name: for people.
        seed: of everything that is chosen.
        plan: the faults.
        load: the clients, and what they send.
        sentinels: whether Redis is watched by Sentinels.
        sabotage: the guard that is taken out; empty: none.
        server: path of the redis-server; None: as the embedded Redis finds it.
        recovery: seconds in which everything must be well again after a fault.
    """

    name: str
    seed: int
    plan: Plan
    load: Load = field(default_factory=Load)
    sentinels: bool = False
    sabotage: str = ""
    server: str | None = None
    recovery: float = RECOVERY_BOUND


@dataclass(frozen=True, slots=True)
class Done:
    """One step, as it went.

    Attributes:
        step: the fault.
        span: from its beginning until all was well again.
        recovered: seconds from its end until then; None: it was not, in time.
        counts: what edges counted meanwhile.
        ends: how often connections of clients that were welcome ended, by close code.
    """

    step: Step
    span: Span
    recovered: float | None
    counts: Counter[str]
    ends: Counter[int]


@dataclass(frozen=True, slots=True)
class Memory:
    """What one edge process held, in KiB, each time all was well again."""

    edge: str
    held: tuple[int, ...]

    @property
    def growth(self) -> int:
        """How much more at the end than at first."""
        return self.held[-1] - self.held[0] if self.held else 0

    @property
    def bounded(self) -> bool:
        """Whether that is within bounds."""
        share, more = GROWTH_BOUND
        return not self.held or self.growth <= share * self.held[0] + more


@dataclass(slots=True)
class Outcome:
    """What came of it.

    Attributes:
        scenario: what was run.
        violations: every broken promise.
        facts: what was done and seen, by name.
        outcomes: what senders were told, how often each.
        steps: as they went.
        gone_after: seconds until nobody listed the clients of an edge any more, of each that fell silent.
        memory: of every edge process.
        wires: how clients reached an edge.
        redis_version: of the server.
    """

    scenario: Scenario
    violations: list[Violation] = field(default_factory=list)
    facts: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    steps: list[Done] = field(default_factory=list)
    gone_after: list[float] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    wires: tuple[str, ...] = ()
    redis_version: str = ""

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not self.violations

    def count(self, kind: Kind) -> int:
        """How many violations of a kind there are."""
        return sum(one.kind is kind for one in self.violations)


async def run(scenario: Scenario, say: Say, *, keep: Path | None = None) -> Outcome:
    """Carry a scenario out.

    Args:
        scenario: what to run.
        say: told how it goes, in lines.
        keep: a folder for what edges have said; None: it is not kept.
    """
    with tempfile.TemporaryDirectory(prefix="gb-chaos-", ignore_cleanup_errors=True) as folder:
        async with staged(
            Path(folder),
            people=scenario.load.people,
            seed=scenario.seed,
            sentinels=scenario.sentinels,
            sabotage=scenario.sabotage,
            program=scenario.server,
        ) as stage:
            return await _Run(scenario, stage, say, keep).carried_out()


class _Run:
    def __init__(self, scenario: Scenario, stage: Stage, say: Say, keep: Path | None) -> None:
        self._scenario = scenario
        self._stage = stage
        self._say = say
        self._keep = keep
        self._ledger = Ledger(scenario.load.people)
        self._faults = Faults(stage)
        self._outcome = Outcome(scenario, wires=tuple(stage.wires), redis_version=stage.version())
        self._memory: dict[tuple[int, int], list[int]] = {}
        self._coming_back = 0  # clients that may be without a connection at any time, because they flap

    async def carried_out(self) -> Outcome:
        """Everything, in order."""
        load, seed = self._scenario.load, self._scenario.seed
        await self._stage.gather()
        taking = asyncio.create_task(self._take_on())
        friends, (loud, pause) = load.friends(seed), load.loud
        await self._stage.talk(friends, burst=load.burst, pause=load.pause)
        await self._stage.talk({one: [EVERYBODY] for one in load.people[:loud]}, burst=1, pause=pause)
        await asyncio.sleep(_WARM_UP)
        if await self._settled(time.monotonic()) is None:
            self._stuck("nothing was well before the first fault")
        else:
            await self._disturbed()
        taking.cancel()
        await asyncio.wait([taking])
        return await self._judged()

    async def _disturbed(self) -> None:
        steps, load = self._scenario.plan.steps, self._scenario.load
        await self._stage.tell("flap", every=load.flap * len(self._stage.crowds))
        self._coming_back = round(_UNDER_WAY / load.flap)
        for number, step in enumerate(steps, 1):
            before, began = await self._counts(), time.monotonic()
            await self._faults.inflict(step)
            recovered = await self._settled(time.monotonic())
            span = Span(began, time.monotonic())
            counted = _since(before, await self._counts())
            self._outcome.steps.append(Done(step, span, recovered, counted, self._ledger.ends(span)))
            self._measure()
            self._tell(number, len(steps), self._outcome.steps[-1])
            if recovered is None:
                self._stuck(f"after {step.text}: {await self._what_is_wrong()}")
                return

    # --- being well ------------------------------------------------------------------

    async def _settled(self, since: float, *, grace: float = _GRACE) -> float | None:
        """Seconds until all was well; None: it was not, in time. ``grace``: seconds that a message may be under way."""
        while time.monotonic() < since + self._scenario.recovery:
            if not await self._what_is_wrong(grace):
                return time.monotonic() - since
            await asyncio.sleep(_LOOK_AGAIN)
        return None

    async def _what_is_wrong(self, grace: float = _GRACE) -> str:
        """In words; empty: nothing."""
        places, turned_away = await self._stage.whereabouts()
        away = len(self._stage.people) - places.total() - len(turned_away)
        if away > self._coming_back:
            return f"{away} clients are not connected"
        ready = await asyncio.gather(*(edge.ready() for edge in self._stage.edges))
        if not all(ready):
            return f"edges {[place for place, one in enumerate(ready) if not one]} are not ready"
        await self._take()
        missing = self._ledger.missing(time.monotonic() - grace)
        return f"{len(missing)} accepted messages have not come, such as {missing[0]}" if missing else ""

    async def _take_on(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await self._take()
            await asyncio.sleep(_TAKING)

    async def _take(self) -> None:
        self._ledger.take(await self._stage.events())

    # --- what is seen ----------------------------------------------------------------

    async def _counts(self) -> dict[int, Counter[str]]:
        """What each edge has counted, by process: one that was started anew has begun anew."""
        return {edge.program.pid: await edge.counts() for edge in self._stage.edges}

    def _measure(self) -> None:
        for edge in self._stage.edges:
            self._memory.setdefault((edge.place, edge.program.pid), []).append(edge.memory())

    def _stuck(self, text: str) -> None:
        self._outcome.violations.append(Violation(Kind.STUCK, "the cluster", text))

    def _tell(self, number: int, total: int, done: Done) -> None:
        took = "NOT well again" if done.recovered is None else f"well again {done.recovered:.1f} s later"
        accepted, delivered = self._ledger.outcomes[ACCEPTED], self._ledger.counts["delivered"]
        self._say(f"{number}/{total} {done.step.text}: {took}; {accepted} accepted, {delivered} delivered")

    # --- the end ---------------------------------------------------------------------

    async def _judged(self) -> Outcome:
        await self._stage.tell("hush", within=60.0)
        self._coming_back = 0
        stuck = self._outcome.count(Kind.STUCK) > 0
        if not stuck and await self._settled(time.monotonic(), grace=0.0) is None:
            self._stuck(f"at the end: {await self._what_is_wrong()}")
        await self._take()
        found, steps = self._outcome, self._outcome.steps
        away = [one.span for one in steps if one.step.what in ("redis freeze", "redis kill")]
        found.violations += [*self._faults.violations, *self._ledger.violations(losses=self._faults.losses, away=away)]
        await self._judge_clients()
        self._judge_edges()
        found.facts.update(self._faults.facts)
        found.facts.update(self._ledger.counts)
        found.facts["reported as lost"] = self._ledger.reported()
        for one in steps:
            found.facts.update({f"{one.step.what}: {name}": count for name, count in one.counts.items()})
        found.outcomes.update(self._ledger.outcomes)
        found.gone_after = self._faults.gone_after
        return found

    async def _judge_clients(self) -> None:
        """Everybody is connected, and every edge lists exactly those."""
        _, turned_away = await self._stage.whereabouts()
        for name, code in turned_away.items():
            self._outcome.violations.append(Violation(Kind.TURNED_AWAY, name, f"with {code}"))
        if self._outcome.count(Kind.STUCK):
            return
        here = set(self._stage.people) - turned_away.keys()
        for edge in self._stage.edges:
            listed = set(await edge.listed() or ())
            if listed != here:
                text = f"lists {len(listed - here)} that are not there, and misses {len(here - listed)}"
                self._outcome.violations.append(Violation(Kind.GHOST, f"edge {edge.place}", text))

    def _judge_edges(self) -> None:
        self._outcome.memory = [
            Memory(f"edge {place}, process {number}", tuple(held))
            for place in range(len(self._stage.edges))
            for number, held in enumerate((held for (at, _), held in self._memory.items() if at == place), 1)
        ]
        for one in self._outcome.memory:
            if not one.bounded:
                self._outcome.violations.append(Violation(Kind.GROWN, one.edge, f"by {one.growth} KiB"))
        for edge in self._stage.edges:
            self._judge_words(edge)

    def _judge_words(self, edge: Edge) -> None:
        said = edge.output
        if self._keep is not None:
            self._keep.mkdir(parents=True, exist_ok=True)
            (self._keep / f"{self._scenario.name.replace(' ', '-')}-edge-{edge.place}.log").write_text(said)
        crashes = said.count(_UNEXPECTED)
        if crashes:
            last = said[said.rindex(_UNEXPECTED) :].splitlines()
            text = f"{crashes} times, such as {last[-1] if len(last) < 60 else last[1]}"
            self._outcome.violations.append(Violation(Kind.CRASHED, f"edge {edge.place}", text))


def _since(before: dict[int, Counter[str]], after: dict[int, Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for process, counts in after.items():
        total.update(counts - before.get(process, Counter()))
    return total
