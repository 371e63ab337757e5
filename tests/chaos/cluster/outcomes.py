"""Outcomes of runs that never were, for tests of what is said about them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.chaos.cluster.ledger import Kind, Span, Violation
from tests.chaos.cluster.run import Done, Load, Memory, Outcome, Scenario
from tests.chaos.cluster.schedule import CUTS, KINDS, Plan, Step

LOST = Violation(Kind.LOST, "c0007", "c0001's message 3 to it alone, accepted at 12.5")
PLAN = Plan(tuple(Step(what, 2.0, 1) for what in KINDS if what != "failover"))
SCENARIO = Scenario("one server", 1, PLAN, Load(clients=30, senders=10))
FACTS = {
    **{"connections dropped": 30, "kill": 1, "ghosts seen": 12, "redis frozen for 2 s": 1, "failovers": 1},
    **{"redis came back with its data": 1, "redis came back empty": 1, "came back, told of a loss": 30},
    **{"came back, recovered": 90, "delivered on coming back": 8, "delivered": 400, "deliveries promised": 400},
    **{f"{what}: {name}": 3 for what in KINDS for name in ("recovered", "lease_lost", "bus_caught_up", "bus_epochs")},
    **{f"{what}: bus_reconnects": 3 for what in KINDS},
    **{f"{what}: bytes swallowed": 1000 for what in CUTS},
}


def outcome(*violations: Violation, scenario: Scenario = SCENARIO, **changes: Any) -> Outcome:
    """Of a run in which every fault bit, but for the changes. ``facts`` changes single ones."""
    facts = Counter({**FACTS, **changes.pop("facts", {})})
    steps = [Done(step, Span(1.0, 4.0), 0.5, Counter(), Counter({1006: 10})) for step in scenario.plan.steps]
    given = {
        **{"steps": steps, "gone_after": [4.9, 6.2], "outcomes": Counter(accepted=300, redis_unavailable=9)},
        **{
            "memory": [Memory("edge 0, process 1", (70_000, 72_000))],
            "wires": ("websocket", "tcp"),
            "redis_version": "7.0",
        },
    }
    return Outcome(scenario=scenario, violations=list(violations), facts=facts, **{**given, **changes})
