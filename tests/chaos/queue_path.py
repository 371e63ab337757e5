"""The worker queues under chaos: the main run, the controls, and the page about them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from gobroke_dist.audit.load import Load
from tests.chaos.controls import Control, controls
from tests.chaos.part import Options, Result, say
from tests.chaos.proof import proofs
from tests.chaos.report import Report, page
from tests.chaos.run import Outcome, Scenario, run
from tests.chaos.schedule import Pace

PAGE = Path("chaos.md")
_QUICK_CONTROLS = 3


def broken(options: Options) -> Result:
    """Break everything under load, and check that nothing was lost, doubled or reordered."""
    report = asyncio.run(_run(options))
    return Result(page(report), report.sentence, report.good)


async def _run(options: Options) -> Report:
    chosen = scenario(options)
    say(f"queue: {chosen.load.total} messages in {chosen.seconds:g} s, {len(chosen.schedule)} faults")
    outcome = await run(chosen, keep=options.keep)
    return Report(outcome, proofs(outcome), await _controlled(options), options.arguments)


def scenario(options: Options) -> Scenario:
    """The main run."""
    seed, server = options.seed, options.redis_server
    if options.quick:
        load = Load(keys=200, messages=15, work=20, seed=seed)
        pace = Pace(freezes=(1.0, 3.0), redis=1, full=(3.0,), stop=8.0, hold=9.0)
        return Scenario("quick", seed, 40.0, load, pace=pace, patience=25.0, skewed=3, server=server)
    load = Load(keys=options.keys, messages=options.messages, work=20, seed=seed)
    return Scenario("full", seed, options.minutes * 60, load, skewed=3, server=server)


async def _controlled(options: Options) -> list[tuple[Control, Outcome]]:
    chosen: Sequence[Control] = controls(options.seed) if options.controls else []
    found = []
    for control in chosen[1 : _QUICK_CONTROLS + 1] if options.quick else chosen:
        say(f"queue: {control.what}")
        found.append((control, await run(control.scenario)))
    return found
