"""``make chaos``: break everything under load, and check that nothing was lost, doubled or reordered."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gobroke_dist.audit.load import Load
from tests.chaos.controls import Control, controls
from tests.chaos.proof import proofs
from tests.chaos.report import Report, page
from tests.chaos.run import Outcome, Scenario, run
from tests.chaos.schedule import Pace

PAGE = Path(__file__).parents[2] / "docs" / "chaos.md"
_QUICK_CONTROLS = 3


def main() -> int:
    """Run, print and write the page. Returns the exit code."""
    arguments = _arguments()
    logging.disable(logging.CRITICAL)
    report = asyncio.run(_run(arguments))
    text = page(report)
    arguments.page.write_text(text)
    print(text)
    print(f"{report.sentence} {arguments.page.name} is written.")
    return 0 if report.good else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the messages, the faults, and what is cut")
    parser.add_argument("--minutes", type=float, default=6.0, help="for which messages are sent")
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=100, help="of each key")
    parser.add_argument("--quick", action="store_true", help="less of everything, in less than two minutes")
    parser.add_argument("--redis-server", help="path of the server to use")
    parser.add_argument("--no-controls", action="store_true", help="do not take guards out")
    parser.add_argument("--keep", type=Path, help="a folder for the record and the workers' logs")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the result is written")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> Report:
    scenario = _scenario(arguments)
    _say(f"{scenario.load.total} messages in {scenario.seconds:g} s, {len(scenario.schedule)} faults")
    outcome = await run(scenario, keep=arguments.keep)
    found = await _controlled(arguments)
    words = [word for word in sys.argv[1:] if not word.startswith(("/", "--keep", "--page"))]
    return Report(outcome, proofs(outcome), found, " ".join(words))


def _scenario(arguments: argparse.Namespace) -> Scenario:
    seed, server = arguments.seed, arguments.redis_server
    if arguments.quick:
        load = Load(keys=200, messages=15, work=20, seed=seed)
        pace = Pace(freezes=(1.0, 3.0), redis=1, full=(3.0,), stop=8.0, hold=9.0)
        return Scenario("quick", seed, 40.0, load, pace=pace, patience=25.0, skewed=3, server=server)
    load = Load(keys=arguments.keys, messages=arguments.messages, work=20, seed=seed)
    return Scenario("full", seed, arguments.minutes * 60, load, skewed=3, server=server)


async def _controlled(arguments: argparse.Namespace) -> list[tuple[Control, Outcome]]:
    chosen: Sequence[Control] = [] if arguments.no_controls else controls(arguments.seed)
    found = []
    for control in chosen[1 : _QUICK_CONTROLS + 1] if arguments.quick else chosen:
        _say(f"without {control.guard}" if control.kinds else "the controls' own run, with every guard in place")
        found.append((control, await run(control.scenario)))
    return found


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
