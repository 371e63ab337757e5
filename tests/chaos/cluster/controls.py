"""Negative controls: with a guard taken out, the same run must fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from tests.chaos import judged
from tests.chaos.cluster.ledger import Kind
from tests.chaos.cluster.run import Load, Scenario
from tests.chaos.cluster.schedule import Plan, Step

_LOAD = Load(clients=90, senders=45, burst=4, pause=0.5, loud=(1, 2.0), flap=1.0)
_PATIENCE = 5.0  # what is lost does not come later


Control: TypeAlias = judged.Control[Scenario]


def controls(seed: int, *, server: str | None = None) -> Sequence[Control]:
    """The run with every guard in place, then without one guard after the other, under the fault that it is for."""
    faults = {
        "replay": Step("drop", 1.0),
        "gap filling": Step("cut both", 4.0, 1),
        "leases": Step("kill", 12.0, 1),
        "telling": Step("redis empty", 0.5),
    }
    whole = Plan((faults["replay"], faults["gap filling"], faults["telling"], Step("kill", 1.0, 1)))
    base = Scenario("every guard in place", seed, whole, _LOAD, server=server)

    def without(guard: str) -> Scenario:
        plan = Plan((faults[guard],))
        return replace(base, name=f"without {guard}", plan=plan, sabotage=guard, recovery=_PATIENCE)

    return (
        Control("none: every guard in place", (), base),
        Control("replay", (Kind.LOST,), without("replay")),
        Control("gap filling", (Kind.LOST,), without("gap filling")),
        Control("leases", (Kind.GHOST,), without("leases")),
        # Who comes back with a number of before is not told that numbers have begun anew.
        Control(
            "telling",
            (Kind.LOST, Kind.REPEATED),
            replace(without("telling"), plan=Plan((faults["telling"], faults["replay"]))),
        ),
    )
