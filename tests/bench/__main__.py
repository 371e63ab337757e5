"""``make bench``: the WORKER path beside others, in one interleaved run on one Redis."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench import machine, page, table
from tests.bench.crew import Failed
from tests.bench.field import FIELD, ROOT
from tests.bench.figures import Book
from tests.bench.plan import NAMES, Case, Plan, full, quick
from tests.bench.server import Server
from tests.bench.trial import Bench

DOCS = ROOT / "docs" / "benchmarks"


def main() -> None:
    """Measure, show, and write the page."""
    options = _options()
    plan = (quick if options.quick else full)(tuple(options.only))
    if options.rounds:
        plan = Plan(plan.cases, options.rounds, plan.idle)
    book, started = Book(), time.time()
    with tempfile.TemporaryDirectory(prefix="gb-bench-") as folder, Server(Path(folder)) as server:
        facts = machine.describe(server.version)
        run(plan, Bench(server=server, folder=Path(folder)), book, Console(stderr=True))
    facts["took"] = f"{(time.time() - started) / 60:.1f} min, {plan.rounds} rounds"
    facts["date"] = time.strftime("%Y-%m-%d", time.gmtime(started))
    if options.json:
        json.dump(table.plain(book, plan, facts), sys.stdout, indent=2)
    else:
        table.show(book, plan, Console())
    if options.write or not (options.quick or options.only or options.rounds):
        page.write(DOCS, book, plan, facts)


def run(plan: Plan, bench: Bench, book: Book, console: Console) -> None:
    """Take all turns. One that fails is noted, and the others go on."""
    turns = list(plan.turns())
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(turns))
        for number, case, name in turns:
            progress.update(bar, description=f"round {number + 1}: {case.title}: {name}")
            missing = FIELD[name].missing
            try:
                if missing:
                    raise Failed(missing)
                _turn(bench, book, number, case, name, plan.idle if number == 0 else 0.0)
            except Failed as error:
                book.failures[case.name, name] = str(error)
                console.print(f"{case.title}: {name}: {error}", style="red")
            progress.advance(bar)


def _turn(bench: Bench, book: Book, number: int, case: Case, name: str, idle: float) -> None:
    contestant = FIELD[name]
    if case.kind == "drain":
        book.note(number, case.name, name, bench.drain(contestant, case.job, handled=case.handled))
    elif case.kind == "latency":
        figures, ages = bench.latency(contestant, replace(case.job, seed=number), idle=idle)
        book.note(number, case.name, name, figures)
        book.ages[name] += ages
    elif case.kind == "takeover":
        jobs = {"idle": replace(case.job, messages=0), "busy": case.job}
        book.takeovers[case.name] = {
            state: bench.takeovers(contestant, job, case.trials // 2) for state, job in jobs.items()
        }
    else:
        book.note(number, case.name, name, bench.role(contestant, "watch", case.job))
        book.note(number, case.name, "nothing", bench.role(contestant, "idle_watch", case.job))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of what matters most; under 3 minutes")
    parser.add_argument("--only", action="append", default=[], choices=NAMES, help="only this case; may be repeated")
    parser.add_argument("--rounds", type=int, default=0, help="how often each takes its turn (default 3)")
    parser.add_argument("--json", action="store_true", help="all figures as JSON instead of a table")
    parser.add_argument("--write", action="store_true", help=f"write {DOCS.relative_to(ROOT)}/; a full run always does")
    return parser.parse_args()


if __name__ == "__main__":
    main()
