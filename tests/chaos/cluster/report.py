"""A chaos run of the cluster path as a page for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.cluster.controls import Control
from tests.chaos.cluster.events import ACCEPTED
from tests.chaos.cluster.faults import GHOST_BOUND
from tests.chaos.cluster.ledger import Kind
from tests.chaos.cluster.run import GROWTH_BOUND, RECOVERY_BOUND, Outcome
from tests.chaos.judged import Judgement, begun, measured_on, table
from tests.chaos.proof import Proof


@dataclass(frozen=True, slots=True)
class Report(Judgement):
    """Everything that a page says.

    Attributes:
        outcomes: of the main run, and of others with other servers.
        proofs: whether the faults bit, of each.
        controls: each control with its outcome.
        arguments: those of the command, to run it again.
    """

    outcomes: Sequence[Outcome]
    proofs: Sequence[Sequence[Proof]]
    controls: Sequence[tuple[Control, Outcome]]
    arguments: str

    @property
    def kept(self) -> bool:
        return all(outcome.good for outcome in self.outcomes)

    @property
    def bites(self) -> list[Proof]:
        return [one for proofs in self.proofs for one in proofs]


def page(report: Report) -> str:
    """Markdown."""
    main = report.outcomes[0]
    parts = [
        "# Chaos on the cluster path: the last run\n\nWritten by `make chaos`, as is [that of the queues](chaos.md).",
        f"**{report.sentence}**",
        _conditions(report, main),
        _HOW,
        "## What was checked\n\n" + table(("", *(one.scenario.name for one in report.outcomes)), _checked(report)),
        "## What was done, and that it bit\n\n" + table(("run", "fault", "evidence", "bit"), _bites(report)),
        "## With a guard taken out, the run must fail\n\n" + table(("guard", "found", "as it must"), report.rows),
        "## How long it took to be well again\n\n"
        + "Every edge ready, every client connected, and all that was accepted until then delivered or reported. At "
        f"most {RECOVERY_BOUND:g} s.\n\n" + table(("run", "fault", "seconds after its end"), _recoveries(report)),
        "## What edges hold\n\n"
        + f"Resident memory in MiB, each time all was well again. At most {GROWTH_BOUND[0]:.0%} and "
        f"{GROWTH_BOUND[1] // 1024} MiB more at the end than at first.\n\n"
        + table(("run", "process", "held", "growth"), _memory(report)),
    ]
    if not report.good:
        parts.append("## What went wrong\n\n" + _wrongs(report))
    return "\n\n".join(parts) + "\n"


_HOW = """\
Clients connect with `?recover`, remember their token and offset, and come back to any edge, as close codes tell them
to. Some send: each message asks a DISPATCHED logic on the client's edge to send on to another client, or to
everybody, and counts as *accepted* when that logic's `send_message` returned and its answer has reached the sender.
What ended with an error, or with the sender's connection, may have been delivered or not; it must not have been
delivered twice. A client counts as *told* when it came back and was told `recovered: false`."""


def _conditions(report: Report, main: Outcome) -> str:
    load, seed = main.scenario.load, main.scenario.seed
    senders = f"{load.senders} of them send {load.burst} messages every {load.pause:g} s, {load.loud[0]} to everybody"
    rows = [
        *begun(report.arguments, seed),
        ("clients", f"{load.clients} over {' and '.join(main.wires)}; {senders} every {load.loud[1]:g} s"),
        ("deployment", "3 edges, default settings but for clients per address; a proxy between each and Redis"),
        *measured_on(main.redis_version),
    ]
    return table(("", ""), rows)


_MEANING = {
    Kind.LOST: "accepted messages neither delivered nor reported",
    Kind.DUPLICATE: "messages delivered twice",
    Kind.REPEATED: "offsets that came again",
    Kind.INVERSION: "messages after a later one of the same sender",
    Kind.UNFOUNDED: "clients told of a loss that was none",
    Kind.CLOSED: "connections ended because Redis was away",
    Kind.TURNED_AWAY: "clients that were told not to come back",
    Kind.GHOST: f"clients listed that were gone, or not listed that were there, for more than {GHOST_BOUND:g} s",
    Kind.STUCK: "what did not recover by itself",
    Kind.GROWN: "edges that hold more than they did",
    Kind.CRASHED: "edges with exceptions that they did not expect",
}


def _checked(report: Report) -> list[tuple[object, ...]]:
    outcomes = report.outcomes
    kinds = [(_MEANING[kind], *(one.count(kind) for one in outcomes)) for kind in Kind]
    facts: dict[str, list[object]] = {
        "for comparison: messages that senders were told are accepted": [one.outcomes[ACCEPTED] for one in outcomes],
        "messages whose senders were told something else, or nothing": [
            one.outcomes.total() - one.outcomes[ACCEPTED] for one in outcomes
        ],
        "deliveries that follow from what was accepted": [one.facts["deliveries promised"] for one in outcomes],
        "of these not made, to clients that were told": [one.facts["reported as lost"] for one in outcomes],
        "deliveries": [one.facts["delivered"] for one in outcomes],
        "of these kept for clients that were away": [one.facts["delivered on coming back"] for one in outcomes],
        "clients that came back and got all": [one.facts["came back, recovered"] for one in outcomes],
        "clients that came back and were told of a loss": [one.facts["came back, told of a loss"] for one in outcomes],
        "read from logs by edges that had missed it": [_of_edges(one, "bus_caught_up") for one in outcomes],
        "seconds until nobody listed the clients of an edge that was gone": [
            ", ".join(f"{took:g}" for took in one.gone_after) or "-" for one in outcomes
        ],
    }
    return [*kinds, *((name, *values) for name, values in facts.items())]


def _of_edges(outcome: Outcome, name: str) -> int:
    return sum(count for fact, count in outcome.facts.items() if fact.endswith(f": {name}"))


def _bites(report: Report) -> list[tuple[object, ...]]:
    return [
        (outcome.scenario.name, one.fault, one.evidence, "yes" if one.bit else "**no**")
        for outcome, proofs in zip(report.outcomes, report.proofs, strict=True)
        for one in proofs
    ]


def _recoveries(report: Report) -> list[tuple[object, ...]]:
    return [
        (outcome.scenario.name, done.step.text, "**never**" if done.recovered is None else f"{done.recovered:.1f}")
        for outcome in report.outcomes
        for done in outcome.steps
    ]


def _memory(report: Report) -> list[tuple[object, ...]]:
    return [
        (
            outcome.scenario.name,
            one.edge,
            ", ".join(f"{held / 1024:.0f}" for held in one.held),
            f"{one.growth / 1024:+.0f}",
        )
        for outcome in report.outcomes
        for one in outcome.memory
    ]


def _wrongs(report: Report) -> str:
    lines = []
    for outcome in report.outcomes:
        shown = outcome.violations[:50]
        lines += [f"- {outcome.scenario.name}: {one.kind.value} {one.who}: {one.text}" for one in shown]
        if len(outcome.violations) > len(shown):
            lines.append(f"- {outcome.scenario.name}: {len(outcome.violations) - len(shown)} more")
    lines += [f"- it did not bite: {one.fault}" for proofs in report.proofs for one in proofs if not one.bit]
    lines += [f"- nobody missed {control.guard}" for control, found in report.controls if not control.holds(found)]
    return "\n".join(lines)
