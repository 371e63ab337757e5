"""Did each fault bite? A run that nothing disturbed proves nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tests.chaos.cluster.run import Outcome
from tests.chaos.cluster.schedule import KINDS, Step
from tests.chaos.cluster.wires import BROKEN
from tests.chaos.proof import Proof


def proofs(outcome: Outcome) -> list[Proof]:
    """For every kind of fault of the scenario, and for what goes on all the time."""
    planned: dict[str, list[Step]] = {}
    for step in outcome.scenario.plan.steps:
        planned.setdefault(step.what, []).append(step)
    found = [_proof(_title(what, steps), _evidence(what, steps, outcome)) for what, steps in planned.items()]
    return [*found, *_always(outcome)]


def _title(what: str, steps: list[Step]) -> str:
    lengths = sorted({step.seconds for step in steps})
    times = f", {len(steps)} times" if len(steps) > 1 else ""
    return f"{KINDS[what]}{times} ({', '.join(f'{one:g} s' for one in lengths)})"


def _evidence(what: str, steps: list[Step], outcome: Outcome) -> dict[str, int]:
    facts = outcome.facts

    def counted(name: str) -> int:
        return facts[f"{what}: {name}"]

    subscribed, read, back = counted("bus_reconnects"), counted("bus_caught_up"), counted("recovered")
    broken = sum(done.ends[BROKEN] for done in outcome.steps if done.step.what == what)
    frozen = sum(facts[f"redis frozen for {step.seconds:g} s"] for step in steps)
    cut = {"bytes swallowed": counted("bytes swallowed")}
    return {
        "drop": {"dropped": facts["connections dropped"], "let back": back},
        "kill": {"kills": facts["kill"], "clients' connections broken": broken, "let back": back},
        "freeze": {"lost its lease": counted("lease_lost"), "clients let back elsewhere": back},
        "cut both": {**cut, "read from logs later": read},
        "cut replies": {**cut, "read from logs later": read},
        "cut requests": {**cut, "lost its lease": counted("lease_lost")},
        "redis freeze": {
            "kept a command waiting": frozen,
            "leases lost": counted("lease_lost"),
            "messages not accepted": outcome.outcomes["redis_unavailable"],
        },
        "redis kill": {
            "came back with its data": facts["redis came back with its data"],
            "subscribed again": subscribed,
        },
        "redis empty": {
            "came back empty": facts["redis came back empty"],
            "new epochs": counted("bus_epochs"),
            "clients told": facts["came back, told of a loss"],
        },
        "failover": {"failovers": facts["failovers"], "subscribed again": subscribed},
    }[what]


def _always(outcome: Outcome) -> Iterator[Proof]:
    facts = outcome.facts
    came = {"came back": facts["came back, recovered"], "messages kept for them": facts["delivered on coming back"]}
    yield _proof("single clients that lose their connection, all the time", came)
    if any(step.what in ("kill", "freeze") for step in outcome.scenario.plan.steps):
        seen = {
            "listed by others at first": facts["ghosts seen"],
            "watched until they were gone": len(outcome.gone_after),
        }
        yield _proof("clients of an edge that is gone", seen)


def _proof(fault: str, evidence: dict[str, int]) -> Proof:
    return Proof(fault, ", ".join(f"{name}: {count}" for name, count in evidence.items()), all(evidence.values()))
