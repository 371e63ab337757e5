"""The cluster path under chaos: the main run, a failover, the controls, and the page about them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.chaos.cluster.controls import Control, controls
from tests.chaos.cluster.proof import proofs
from tests.chaos.cluster.report import Report, page
from tests.chaos.cluster.run import Load, Outcome, Scenario, run
from tests.chaos.cluster.schedule import FULL, QUICK, Plan, Step, plan
from tests.chaos.part import Options, Result, say

PAGE = Path("chaos-cluster.md")
EDGES = 3
_QUICK_CLIENTS = 300
_FAILOVER_CLIENTS, _FAILOVER_FLAP = 300, 0.1
_QUICK_CONTROLS = ("replay", "gap filling")


def broken(options: Options) -> Result:
    """Break edges, clients' connections and Redis, and check that every accepted message came once and in order."""
    report = asyncio.run(_run(options))
    return Result(page(report), report.sentence, report.good)


def scenarios(options: Options) -> list[Scenario]:
    """The main run, and one behind Sentinels unless it is to be quick."""
    seed, server = options.seed, options.redis_server
    pace = QUICK if options.quick else FULL
    load = _load(_QUICK_CLIENTS if options.quick else options.clients)
    seconds = 0.0 if options.quick else options.minutes * 60
    main = Scenario("one server", seed, plan(seed, seconds, pace, edges=EDGES), load, server=server)
    if options.quick:
        return [main]
    steps = (Step("drop", 2.0), Step("failover", 0.0), Step("drop", 2.0))
    few = replace(_load(_FAILOVER_CLIENTS), flap=_FAILOVER_FLAP)
    return [main, replace(main, name="Sentinel", plan=Plan(steps), load=few, sentinels=True)]


async def _run(options: Options) -> Report:
    outcomes = []
    for scenario in scenarios(options):
        say(f"cluster, {scenario.name}: {scenario.load.clients} clients, {len(scenario.plan.steps)} faults")
        outcomes.append(await run(scenario, say, keep=options.keep))
    return Report(outcomes, [proofs(one) for one in outcomes], await _controlled(options), options.arguments)


async def _controlled(options: Options) -> list[tuple[Control, Outcome]]:
    chosen: Sequence[Control] = controls(options.seed, server=options.redis_server) if options.controls else []
    found = []
    for control in chosen:
        if options.quick and control.guard not in _QUICK_CONTROLS:
            continue
        say(f"cluster: {control.what}")
        found.append((control, await run(control.scenario, say, keep=options.keep)))
    return found


def _load(clients: int) -> Load:
    """An eighth of them send; how often single ones lose their connection goes with how many there are."""
    return Load(clients=clients, senders=clients // 8, flap=500 / clients)
