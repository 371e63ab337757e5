"""The WORKER path beside other queues."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.bench import machine
from tests.bench.field import FIELD
from tests.bench.figures import Book
from tests.bench.goals import goals
from tests.bench.page import Page
from tests.bench.part import Options, Result
from tests.bench.plan import OURS, Case, Plan, full, quick
from tests.bench.plot import Bar, Panel, plot
from tests.bench.server import Server
from tests.bench.sheets import sheets
from tests.bench.table import plain
from tests.bench.trial import Bench
from tests.bench.turns import Turn, take

_METHOD = """\
`make bench` wrote this page. In each round every contestant takes one turn, one after another, and then the next round
begins; a figure is the median over the rounds, and a ratio is taken within each round before the median is. All use one
Redis over TCP on the same machine, with the append-only file that the product ships with, and real processes. A backlog
is sent first, the workers boot and wait at a gate, and then all begin at once; what is shown does not include their
start. Handlers do nothing but count in memory that they share with the benchmark, which costs the same for all.

Workers have 8 threads per process unless the row says otherwise. Celery, Taskiq, arq and Huey run as their
documentation recommends for many short tasks, each with its own versions of its own packages: see
`tests/bench/contestants/`. They promise different things: gobroke_dist keeps order by key, acknowledges after the
handler, and fences off workers that lost their lease; Dramatiq, Taskiq on streams and arq acknowledge after the
handler and keep no order; Celery acknowledges before it, by default; Huey and Taskiq on a list lose what runs when a
worker dies."""


def measured(options: Options, console: Console) -> Result | None:
    """Take all turns; None: the options name no case of this part."""
    plan = (quick if options.quick else full)(options.only)
    if not plan.cases:
        return None
    if options.rounds:
        plan = Plan(plan.cases, options.rounds, plan.idle)
    book, started = Book(), time.time()
    with tempfile.TemporaryDirectory(prefix="gb-bench-") as folder, Server(Path(folder)) as server:
        facts = machine.describe(server.version, ("dramatiq",), FIELD.values())
        bench = Bench(server=server, folder=Path(folder))
        take(_turns(plan, bench, book), book, console)
    facts["took"] = f"{(time.time() - started) / 60:.1f} min, {plan.rounds} rounds"
    facts["date"] = time.strftime("%Y-%m-%d", time.gmtime(started))
    return _result(book, plan, facts)


def _turns(plan: Plan, bench: Bench, book: Book) -> list[Turn]:
    return [
        Turn(number, case, FIELD[name], partial(_turn, bench, book, number, case, name, plan.idle if not number else 0))
        for number, case, name in plan.turns()
    ]


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


def _result(book: Book, plan: Plan, facts: dict[str, str]) -> Result:
    cases = [{**asdict(case), "job": asdict(case.job)} for case in plan.cases]
    tables = sheets(book, plan)
    return Result(
        sheets=tables,
        plain=plain(book, cases, goals(), facts),
        page=Page(
            name="queue",
            title="The WORKER path, measured",
            caption="Messages per second of each contestant",
            method=_METHOD,
            sheets=tables,
            facts=facts,
            plot=plot("Messages handled per second", _panels(book, plan)),
        ),
    )


def _panels(book: Book, plan: Plan) -> list[Panel]:
    return [
        Panel(
            f"{case.title}: messages per second",
            tuple(
                Bar(FIELD[name].label, rate, name == OURS)
                for name in case.contestants
                if (rate := book.median(case.name, name, "rate")) is not None
            ),
        )
        for case in plan.cases
        if case.kind == "drain"
    ]
