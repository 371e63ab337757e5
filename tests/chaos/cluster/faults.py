"""What each fault does to what runs, and what shows that it bit."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.chaos.cluster.ledger import Kind, Violation
from tests.chaos.cluster.schedule import Step
from tests.chaos.cluster.stage import Edge, Stage, sleep_until

GHOST_BOUND = 10.0
"""Seconds after which nobody lists the clients of an edge that is gone (contract C3)."""

MORTALS = 12
_MOVING = 1 / 3  # of those on an edge that does not answer: they have a timeout of their own
_MOVE_AFTER = 2.0
_WATCHED = 20.0
_LOOK_AGAIN = 0.2
_FAILOVER = 30.0


class Faults:
    """Inflicts faults, one after another.

    Args:
        stage: what runs.

    Attributes:
        facts: what was done and seen, by name.
        violations: what was seen that may not be.
        losses: when Redis lost what it had.
        gone_after: seconds from a fault until nobody listed the clients of that edge any more, of each.
    """

    def __init__(self, stage: Stage) -> None:
        self.facts: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self.losses: list[float] = []
        self.gone_after: list[float] = []
        self._stage = stage
        self._mortals = 0

    async def inflict(self, step: Step) -> None:
        """Do it, and undo what does not undo itself. Returns when it is over; what recovers by itself may not yet."""
        done: dict[str, Callable[[Step], Awaitable[None]]] = {
            "drop": self._drop,
            "kill": self._kill,
            "freeze": self._freeze,
            "redis freeze": self._freeze_redis,
            "redis kill": self._kill_redis,
            "redis empty": self._empty_redis,
            "failover": self._fail_over,
        }
        self.facts[step.what] += 1
        await done.get(step.what, self._cut_off)(step)

    # --- of clients ------------------------------------------------------------------

    async def _drop(self, step: Step) -> None:
        told = await self._stage.tell("drop", seconds=step.seconds)
        self.facts["connections dropped"] += sum(one["lost"] for one in told)
        await asyncio.sleep(step.seconds)

    # --- of edges --------------------------------------------------------------------

    async def _kill(self, step: Step) -> None:
        edge = self._stage.edges[step.edge]
        names = await self._bring_mortals(edge)
        since = time.monotonic()
        await edge.stop()
        watching = asyncio.create_task(self._watch_ghosts(names, edge, since))
        await sleep_until(since + step.seconds)
        await edge.start()
        await watching
        await self._stage.tell("end_mortals")

    async def _freeze(self, step: Step) -> None:
        edge = self._stage.edges[step.edge]
        names = await self._bring_mortals(edge)
        since = time.monotonic()
        with edge.program.frozen():
            await self._suffer(edge, names, since, step.seconds)
        await self._await_mortals(names)

    async def _cut_off(self, step: Step) -> None:
        edge = self._stage.edges[step.edge]
        assert edge.proxy is not None
        names = await self._bring_mortals(edge)
        since, before = time.monotonic(), edge.proxy.counts.swallowed
        match step.what:
            case "cut requests":
                edge.proxy.silence("requests")
            case "cut replies":
                edge.proxy.silence("replies")
            case _:
                edge.proxy.silence()
        # A node whose requests arrive keeps its lease, and its clients stay listed.
        await self._suffer(edge, [] if step.what == "cut replies" else names, since, step.seconds)
        self.facts[f"{step.what}: bytes swallowed"] += edge.proxy.counts.swallowed - before
        edge.proxy.heal()
        await self._await_mortals(names)

    async def _suffer(self, edge: Edge, names: list[str], since: float, seconds: float) -> None:
        """An edge does not answer: some of its clients go elsewhere, all are gone from every list after a while."""
        watching = asyncio.create_task(self._watch_ghosts(names, edge, since))
        await asyncio.sleep(min(_MOVE_AFTER, seconds))
        told = await self._stage.tell("move", place=edge.place, share=_MOVING)
        self.facts["clients that gave up an edge"] += sum(one["moved"] for one in told)
        await sleep_until(since + seconds)
        await watching

    async def _bring_mortals(self, edge: Edge) -> list[str]:
        self._mortals += 1
        names = [f"mortal-{self._mortals}-{number}" for number in range(MORTALS)]
        for crowd, share in enumerate((names[::2], names[1::2])):
            await self._stage.tell_one(crowd, "mortals", place=edge.place, names=share)
        return names

    async def _watch_ghosts(self, names: list[str], but: Edge, since: float) -> None:
        """Wait until no other edge lists any of these."""
        if not names:
            return
        prefix = names[0].rpartition("-")[0] + "-"
        waiting = [edge for edge in self._stage.edges if edge is not but]
        seen = 0
        while waiting and time.monotonic() < since + _WATCHED:
            for edge in tuple(waiting):
                listed = await edge.listed(prefix)
                seen = max(seen, len(listed or ()))
                if listed == []:
                    waiting.remove(edge)
            await asyncio.sleep(_LOOK_AGAIN)
        took = time.monotonic() - since
        self.facts["ghosts seen"] += seen
        self.gone_after.append(round(took, 1))
        if waiting or took > GHOST_BOUND:
            self.violations.append(
                Violation(Kind.GHOST, f"edge {but.place}", f"its clients were listed for {took:.1f} s")
            )

    async def _await_mortals(self, names: list[str]) -> None:
        """Those of an edge that is back are listed everywhere again, without having done anything."""
        prefix, since = names[0].rpartition("-")[0] + "-", time.monotonic()
        waiting = list(self._stage.edges)
        while waiting and time.monotonic() < since + _WATCHED:
            for edge in tuple(waiting):
                if len(await edge.listed(prefix) or ()) == len(names):
                    waiting.remove(edge)
            await asyncio.sleep(_LOOK_AGAIN)
        self.facts["clients listed again"] += 0 if waiting else len(names)
        for edge in waiting:
            text = f"does not list the clients of an edge that is back, after {_WATCHED:g} s"
            self.violations.append(Violation(Kind.STUCK, f"edge {edge.place}", text))
        await self._stage.tell("end_mortals")

    # --- of Redis --------------------------------------------------------------------

    async def _freeze_redis(self, step: Step) -> None:
        waited = await self._stage.redis.freeze(step.seconds)
        self.facts[f"redis frozen for {step.seconds:g} s"] += waited >= 0.9 * step.seconds

    async def _kill_redis(self, step: Step) -> None:
        self.facts["redis came back with its data"] += await asyncio.to_thread(
            self._stage.redis.kill_and_restart, after=step.seconds
        )

    async def _empty_redis(self, step: Step) -> None:
        self.losses.append(time.monotonic())
        self.facts["redis came back empty"] += await asyncio.to_thread(
            self._stage.redis.kill_and_empty, after=step.seconds
        )

    async def _fail_over(self, step: Step) -> None:
        watched = self._stage.watched
        assert watched is not None
        await asyncio.to_thread(watched.primary.kill)  # edges wait for replicas, so this is to lose nothing
        since = time.monotonic()
        while time.monotonic() < since + _FAILOVER:
            if await asyncio.to_thread(watched.failed_over):
                self.facts["failovers"] += 1
                return
            await asyncio.sleep(_LOOK_AGAIN)
