"""One measurement of one contestant's cluster."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

from tests.bench.cluster.field import BARE, OURS, Entrant
from tests.bench.cluster.partner import Partner, partner
from tests.bench.cluster.plan import Case
from tests.bench.cluster.stage import SERVERS, Reading, Stage, await_count, warm_up
from tests.bench.crew import Failed
from tests.bench.figures import quantile
from tests.bench.server import Server

Figures = dict[str, float]

_SETTLE = 0.5
_WARM = 1.0  # pools of connections fill
_IDLE_SETTLE = 2.5  # what follows from connecting is written within a second
_QUIET = 5.0  # three renewals of a lease


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterBench:
    """Where measurements are made. Each raises ``Failed``."""

    server: Server
    folder: Path

    def measure(self, case: Case, entrant: Entrant) -> Figures:
        """Whatever the case is about."""
        if case.kind == "listing":
            return self.listing(case, entrant)
        if entrant.name == BARE:
            return self.bare_latency(case, entrant)
        with Stage(self.server, entrant, case.nodes) as stage:
            return {
                "latency": self.latency,
                "rate": self.rate,
                "broadcast": self.broadcast,
                "idle": self.idle,
                "unicast": self.unicast,
            }[case.kind](case, stage)

    def latency(self, case: Case, stage: Stage) -> Figures:
        """Clients of the first node send evenly to clients of the second."""
        senders, receivers = _lines(case, stage)
        warm_up(lambda: senders.ask("pace", rate=case.rate, seconds=_SETTLE), [senders, receivers])
        sent = senders.ask("pace", rate=case.rate, seconds=case.seconds)["sent"]
        await_count([senders, receivers], sent)
        return _ages(receivers)

    def bare_latency(self, case: Case, entrant: Entrant) -> Figures:
        """One process publishes as often, another is subscribed."""
        self.server.empty()
        module = f"{SERVERS}.{entrant.module}"
        with partner(entrant, module, self.server.url) as here, partner(entrant, module, self.server.url) as there:
            there.ask("listen")
            here.ask("speak")
            warm_up(lambda: here.ask("pace", rate=case.rate, seconds=_SETTLE), [there])
            sent = here.ask("pace", rate=case.rate, seconds=case.seconds)["sent"]
            await_count([there], sent)
            return _ages(there)

    def rate(self, case: Case, stage: Stage) -> Figures:
        """The same clients send as fast as messages arrive."""
        senders, receivers = _lines(case, stage)
        tally = str(self.folder / "tally")
        receivers.ask("count", tally=tally)
        flood = partial(senders.ask, "flood", window=case.window, tally=tally)
        warm_up(lambda: flood(seconds=_WARM), [senders, receivers])
        before = stage.read()
        measured = flood(seconds=case.seconds)
        last = await_count([senders, receivers], measured["sent"])
        used = _per_message(before, stage.read(), measured["sent"])
        return {"rate": measured["sent"] / (last - measured["started"]) * 1e9} | used

    def broadcast(self, case: Case, stage: Stage) -> Figures:
        """One client sends to all, itself included."""
        crowds, took = _spread(case, stage)
        warm_up(lambda: crowds[0].ask("shout") | {"sent": case.clients}, crowds)
        seconds = []
        for _ in range(case.times):
            time.sleep(_SETTLE)
            started = crowds[0].ask("shout")["started"]
            seconds.append((await_count(crowds, case.clients) - started) / 1e9)
            for crowd in crowds:
                crowd.ask("forget")
        return {"seconds": median(seconds), "longest": max(seconds), "connects": case.clients / took}

    def idle(self, case: Case, stage: Stage) -> Figures:
        """Nobody sends anything."""
        if case.clients:
            _spread(case, stage)
        time.sleep(_IDLE_SETTLE)
        before = stage.read()
        time.sleep(case.seconds)
        after = stage.read()
        used, over = after.redis.since(before.redis), (after.at - before.at) * case.nodes
        return {
            "commands": used.commands / over,
            "requests": used.reads / over,
            "nodes_cpu": (after.nodes - before.nodes) / over,
        }

    def unicast(self, case: Case, stage: Stage) -> Figures:
        """What a message costs, beyond what the same nodes cost when they are idle."""
        senders, receivers = _lines(case, stage)
        quiet = stage.read()
        time.sleep(_QUIET)
        before = stage.read()
        sent = senders.ask("pace", rate=case.rate, seconds=case.seconds)["sent"]
        await_count([senders, receivers], sent)
        return _per_message(before, stage.read(), sent, quiet)

    def listing(self, case: Case, entrant: Entrant) -> Figures:
        """One process has filled Redis, another lists what is there."""
        self.server.empty()
        program = replace(entrant, module="listing") if entrant.name == OURS else entrant
        module = f"{SERVERS}.{program.module}"
        with partner(program, module, self.server.url) as others, partner(program, module, self.server.url) as node:
            others.ask("fill", clients=case.clients)
            node.ask("join")
            before = self.server.usage()
            lists = [node.ask("list") for _ in range(case.times)]
            used = self.server.usage().since(before)
        if any(one["count"] != case.clients for one in lists):
            raise Failed(f"{[one['count'] for one in lists]} clients were listed instead of {case.clients}")
        seconds = [one["seconds"] for one in lists]
        return {"seconds": median(seconds), "longest": max(seconds), "requests": used.reads / case.times}


def _lines(case: Case, stage: Stage) -> tuple[Partner, Partner]:
    """Clients of the first node, each of which sends to one of the second node's. Each further node has one client,
    without which some do not even listen to the others.
    """
    senders, receivers = stage.crowd(), stage.crowd()
    senders.ask("connect", port=stage.ports[0], count=case.clients, prefix="sender")
    there = receivers.ask("connect", port=stage.ports[1], count=case.clients, prefix="receiver")
    senders.ask("aim", addresses=there["addresses"])
    for number, port in enumerate(stage.ports[2:]):
        receivers.ask("connect", port=port, count=1, prefix=f"bystander-{number}")
    warm_up(lambda: senders.ask("volley"), [senders, receivers])
    time.sleep(_SETTLE)
    return senders, receivers


def _spread(case: Case, stage: Stage) -> tuple[list[Partner], float]:
    """Clients on all nodes, in one process for each node; and how long they took to connect, one after the other."""
    crowds, took = [], 0.0
    for number, port in enumerate(stage.ports):
        crowd = stage.crowd()
        took += crowd.ask("connect", port=port, count=case.clients // case.nodes, prefix=f"client-{number}")["seconds"]
        crowds.append(crowd)
    return crowds, took


def _ages(receivers: Partner) -> Figures:
    ages = receivers.ask("heard", ages=True)["ages"]
    return {"p50": quantile(ages, 0.5) / 1e9, "p99": quantile(ages, 0.99) / 1e9, "messages": float(len(ages))}


def _per_message(before: Reading, after: Reading, messages: int, quiet: Reading | None = None) -> Figures:
    """Less what went by in the same time between ``quiet`` and ``before``."""
    used = after.redis.since(before.redis)
    spent = {
        "commands": float(used.commands),
        "requests": float(used.reads),
        "redis_us": used.cpu * 1e6,
        "nodes_us": (after.nodes - before.nodes) * 1e6,
        "clients_us": (after.clients - before.clients) * 1e6,
    }
    if quiet is not None:
        share = (after.at - before.at) / (before.at - quiet.at)
        anyway = _per_message(quiet, before, 1)
        spent = {name: value - anyway[name] * share for name, value in spent.items()}
    return {name: value / messages for name, value in spent.items()}
