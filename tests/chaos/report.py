"""A chaos run as a page for people."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gobroke_dist import __version__
from gobroke_dist.audit.verdict import Percentiles
from gobroke_dist.audit.violations import Kind
from tests.chaos.controls import Control
from tests.chaos.proof import Proof
from tests.chaos.run import LEASE, TAKEOVER_BOUND, Outcome


@dataclass(frozen=True, slots=True)
class Report:
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
        """Whether every promise was kept."""
        outcome = self.outcome
        return outcome.verdict.good and not outcome.residue and not outcome.gave_up

    @property
    def proven(self) -> bool:
        """Whether that says anything: every fault bit, and every guard was missed when it was gone."""
        return all(one.bit for one in self.proofs) and all(control.holds(found) for control, found in self.controls)

    @property
    def good(self) -> bool:
        """Both."""
        return self.kept and self.proven

    @property
    def sentence(self) -> str:
        """The result in one line."""
        if not self.kept:
            return "FAILED: a promise was broken."
        return "Passed." if self.proven else "NOT PROVEN: nothing went wrong, but not every fault bit."


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
        "## With a guard taken out, the run must fail\n\n" + table(("guard", "found", "as it must"), _controls(report)),
        "## Times\n\n" + table(("milliseconds", "count", "p50", "p95", "p99", "max"), _times(outcome)),
        "## Schedule\n\n" + _schedule(outcome),
    ]
    if outcome.verdict.violations or outcome.residue or outcome.gave_up:
        parts.append("## What went wrong\n\n" + _wrongs(outcome))
    return "\n\n".join(parts) + "\n"


def _conditions(report: Report) -> str:
    scenario, outcome = report.outcome.scenario, report.outcome
    load = scenario.load
    rows = [
        ("command", f"`python -m tests.chaos {report.arguments}`".replace(" `", "`")),
        ("seed", scenario.seed),
        ("load", f"{load.keys} keys x {load.messages} messages in {scenario.seconds:g} s, {load.failing:.0%} raise"),
        ("deployment", f"{scenario.workers} worker processes x {scenario.threads} threads, lease {LEASE:g} s"),
        ("version", f"gobroke_dist {__version__}, Redis {outcome.redis_version}, Python {platform.python_version()}"),
        ("machine", f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"),
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
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


def _controls(report: Report) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for control, outcome in report.controls:
        found = Counter(one.kind.value for one in outcome.verdict.violations)
        text = ", ".join(f"{kind}: {count}" for kind, count in sorted(found.items())) or "nothing wrong"
        rows.append((control.guard, text, "yes" if control.holds(outcome) else "**no**"))
    return rows


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


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
