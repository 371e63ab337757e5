"""The cluster path beside other real-time servers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.bench import machine
from tests.bench.cluster.field import CLUSTER, OURS
from tests.bench.cluster.goals import CLUSTER_GOALS
from tests.bench.cluster.plan import Case, ClusterPlan, full, quick
from tests.bench.cluster.sheets import cluster_sheets
from tests.bench.cluster.stage import open_files
from tests.bench.cluster.trial import ClusterBench
from tests.bench.figures import Book
from tests.bench.page import Page
from tests.bench.part import Options, Result
from tests.bench.plot import Bar, Panel, plot
from tests.bench.server import Server
from tests.bench.table import plain
from tests.bench.turns import Turn, take

_METHOD = """\
`make bench` wrote this page. In each round every contestant takes one turn, one after another, and then the next round
begins; a figure is the median over the rounds, and a ratio is taken within each round before the median is. All use one
Redis over TCP on the same machine, which is emptied before each turn, and real processes: each node is one, and so is
each crowd of clients. All of them share the machine's cores, so rates are those of the whole machine, clients included.

The clients are the same for all: a WebSocket client on asyncio's protocols that masks with zeros, knows the few frames
that each server's protocol needs, and reads the time of sending out of a message without parsing it; payloads have
100 bytes. It compares times of the monotonic clock, which is one for the whole machine. Nothing is measured before a
message has come through from every sender.

gobroke_dist's nodes run as `gobroke edge` does, with default settings; a message from client to client names its
recipient by uuid in the JSON envelope, and one to everybody goes through a DISPATCHED logic. python-socketio is an
`AsyncServer` on aiohttp with its Redis manager, Engine.IO over WebSocket alone, and a handler that emits to the
recipient's `sid`, or to all. channels_redis has no server of its own: here each WebSocket of an aiohttp server is a
channel, and all are in one group, which is less work than the consumers of Django Channels do; its capacity is raised
so that nothing is dropped. Both peers get a read timeout and a pool of connections without the bounds that newer
versions of redis-py set by default, and with which they connect again and again. All run on uvloop with hiredis, each
with its own versions of its own packages: see `tests/bench/cluster/servers/`. They promise different things:
gobroke_dist looks the recipient up, tells the sender when there is none, and keeps the order from a sender to a client;
the others do none of this, or less of it."""


def measured(options: Options, console: Console) -> Result | None:
    """Take all turns; None: the options name no case of this part."""
    plan = (quick if options.quick else full)(options.only)
    if not plan.cases:
        return None
    cases, note = fitted(plan.cases)
    plan = ClusterPlan(cases, options.rounds or plan.rounds)
    book, started = Book(), time.time()
    with tempfile.TemporaryDirectory(prefix="gb-bench-") as folder, Server(Path(folder)) as server:
        facts = machine.describe(server.version, ("aiohttp", "uvloop"), CLUSTER.values()) | note
        take(_turns(plan, ClusterBench(server=server, folder=Path(folder)), book), book, console)
    facts["took"] = f"{(time.time() - started) / 60:.1f} min, {plan.rounds} rounds"
    facts["date"] = time.strftime("%Y-%m-%d", time.gmtime(started))
    return result(book, plan, facts)


def fitted(cases: Sequence[Case]) -> tuple[tuple[Case, ...], dict[str, str]]:
    """The cases with as many clients as this machine lets one process have open, and a word on it if it is fewer."""
    most = max(_sockets(case) for case in cases)
    allowed = open_files(most)
    if allowed >= most:
        return tuple(cases), {}
    made = tuple(
        replace(case, clients=min(case.clients, allowed * case.nodes)) if _sockets(case) > allowed else case
        for case in cases
    )
    return made, {"limit of open files": f"allows {allowed:,} clients on a node instead of {most:,}"}


def result(book: Book, plan: ClusterPlan, facts: dict[str, str]) -> Result:
    """What the run says."""
    tables = cluster_sheets(book, plan)
    return Result(
        sheets=tables,
        plain=plain(book, (asdict(case) for case in plan.cases), CLUSTER_GOALS, facts),
        page=Page(
            name="cluster",
            title="The cluster path, measured",
            caption="Latency, rate and broadcast of each contestant",
            method=_METHOD,
            sheets=tables,
            facts=facts,
            plot=plot("From node to node, and to everybody", _panels(book, plan)),
        ),
    )


def _turns(plan: ClusterPlan, bench: ClusterBench, book: Book) -> list[Turn]:
    def measure(number: int, case: Case, name: str) -> None:
        book.note(number, case.name, name, bench.measure(case, CLUSTER[name]))

    return [
        Turn(number, case, CLUSTER[name], partial(measure, number, case, name)) for number, case, name in plan.turns()
    ]


def _sockets(case: Case) -> int:
    """How many one process has at the same time, at most."""
    return case.clients // case.nodes if case.kind in ("broadcast", "idle") else 0


_PANELS = {
    "latency": ("median latency, ms, shorter is better", "p50", 1000.0, ".2f"),
    "rate": ("messages per second", "rate", 1.0, ",.0f"),
    "broadcast": ("ms until the last has it, shorter is better", "seconds", 1000.0, ",.0f"),
}


def _panels(book: Book, plan: ClusterPlan) -> list[Panel]:
    return [_panel(book, case, *_PANELS[case.kind]) for case in plan.cases if case.kind in _PANELS]


def _panel(book: Book, case: Case, unit: str, figure: str, scale: float, form: str) -> Panel:
    bars = tuple(
        Bar(CLUSTER[name].label, value * scale, name == OURS)
        for name in case.contestants
        if (value := book.median(case.name, name, figure)) is not None
    )
    who = f" ({case.clients:,} clients)" if case.kind == "broadcast" else ""
    return Panel(f"{case.title}{who}: {unit}", bars, form)
