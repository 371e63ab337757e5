"""A chaos run as a page for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from gobroke_dist.audit.verdict import Percentiles
from gobroke_dist.audit.violations import Kind
from tests.chaos.controls import Control
from tests.chaos.judged import Judgement, begun, measured_on, table
from tests.chaos.proof import Proof
from tests.chaos.run import LEASE, TAKEOVER_BOUND, Outcome


@dataclass(frozen=True, slots=True)
class Report(Judgement):
    """Everything that a page says.

    Attributes:
        outcome: of the main run.
        proofs: whether its faults bit.
        controls: each control with its outcome.
        arguments: those of the command, to run it again.
    """

    outcome: Outcome
    proofs: Sequence[Proof]
    controls: Sequence[tuple[Control, Outcome]]
    arguments: str

    @property
    def kept(self) -> bool:
        return self.outcome.good

    @property
    def bites(self) -> Sequence[Proof]:
        return self.proofs


def page(report: Report) -> str:
    """Markdown."""
    outcome = report.outcome
    parts = [
        "# Chaos: the last run\n\nWritten by `make chaos`; [gobroke audit](how-to/audit.md) checks a deployment of "
        "your own in the same way.",
        f"**{report.sentence}**",
        _conditions(report),
        "## What was checked\n\n" + table(("", "count"), _checked(outcome)),
        "## What was done, and that it bit\n\n"
        + table(
            ("fault", "evidence", "bit"), [(p.fault, p.evidence, "yes" if p.bit else "**no**") for p in report.proofs]
        ),
        "## With a guard taken out, the run must fail\n\n" + table(("guard", "found", "as it must"), report.rows),
        "## Times\n\n" + table(("milliseconds", "count", "p50", "p95", "p99", "max"), _times(outcome)),
        "## Schedule\n\n" + _schedule(outcome),
    ]
    if not outcome.good:
        parts.append("## What went wrong\n\n" + _wrongs(outcome))
    return "\n\n".join(parts) + "\n"


def _conditions(report: Report) -> str:
    scenario, outcome = report.outcome.scenario, report.outcome
    load = scenario.load
    rows = [
        *begun(report.arguments, scenario.seed),
        ("load", f"{load.keys} keys x {load.messages} messages in {scenario.seconds:g} s, {load.failing:.0%} raise"),
        ("deployment", f"{scenario.workers} worker processes x {scenario.threads} threads, lease {LEASE:g} s"),
        *measured_on(outcome.redis_version),
    ]
    return table(("", ""), rows)


def _checked(outcome: Outcome) -> list[tuple[object, ...]]:
    verdict = outcome.verdict
    kinds = [(_MEANING[kind], verdict.count(kind)) for kind in Kind]
    more = [
        ("left over in the queues at the end", sum(outcome.residue.values())),
        ("for comparison: messages accepted", verdict.sent),
        ("runs of handlers", verdict.runs),
        ("runs that had taken over from another worker", verdict.recovered),
        ("runs of paused workers that went on beside their successor (fenced)", verdict.fenced),
        ("commits of such workers that were refused", verdict.refused),
    ]
    return [*kinds, *more]


_MEANING = {
    Kind.LOST: "messages lost",
    Kind.DUPLICATE: "deliveries run twice",
    Kind.INVERSION: "inversions",
    Kind.OVERLAP: "overlaps of unfenced handlers",
    Kind.DOUBLED: "effects doubled",
    Kind.TORN: "effects of which a part is missing",
    Kind.UNFENCED: "effects of workers that had lost the message, and fences that did not grow",
    Kind.UNEARNED: "effects of runs that raised",
    Kind.LATE: f"takeovers beyond {TAKEOVER_BOUND:g} s",
}


def _times(outcome: Outcome) -> list[tuple[object, ...]]:
    verdict = outcome.verdict
    found: list[tuple[str, Percentiles | None]] = [
        ("sent to started", verdict.latency),
        ("sent to effect", verdict.effect_latency),
        ("takeover that nothing else disturbed", verdict.takeover_times(calm=True)),
        ("takeover, all others", verdict.takeover_times(calm=False)),
    ]
    return [(name, *dataclasses.astuple(one)) for name, one in found if one is not None]


def _schedule(outcome: Outcome) -> str:
    words = []
    for fault in outcome.scenario.schedule:
        where = f" {fault.slot}" if fault.what in ("kill", "term", "stop") else ""
        length = f" ({fault.seconds:.1f} s)" if fault.seconds else ""
        words.append(f"{fault.at:.1f} {fault.what}{where}{length}")
    return "Seconds, fault, place of the worker: " + "; ".join(words) + "."


def _wrongs(outcome: Outcome) -> str:
    lines = [f"- {one.kind.value} {one.key}: {one.text}" for one in outcome.verdict.violations[:50]]
    lines += [f"- left over: `{key}` holds {count}" for key, count in outcome.residue.items()]
    return "\n".join([*lines, *([f"- gave up: {outcome.gave_up}"] if outcome.gave_up else [])])
