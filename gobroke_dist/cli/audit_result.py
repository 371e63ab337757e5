"""The result of an audit: JSON for scripts, tables for people."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gobroke_dist.audit.takeover import Takeover
from gobroke_dist.audit.verdict import Percentiles, Verdict
from gobroke_dist.audit.violations import Kind
from gobroke_dist.cli.screen import screen

_SHOWN = 20
_SLOWEST = 5
_LISTED = 1000

_MEANING = {
    Kind.LOST: "gaps: accepted, and nothing came out",
    Kind.DUPLICATE: "one delivery was run twice",
    Kind.INVERSION: "began before the message before it had succeeded, or came out in another order",
    Kind.OVERLAP: "two handlers of one key ran at once",
    Kind.DOUBLED: "effects seen twice",
    Kind.TORN: "a part of the effects is missing",
    Kind.UNFENCED: "a worker that had lost the message had effects, or a fence did not grow",
    Kind.UNEARNED: "effects of a run that raised, or never ended",
    Kind.LATE: "a takeover took longer than --takeover-bound",
}
_NUMBERS = {
    "runs": "entries of handlers",
    "again": "of these, not the first of their message",
    "raised": "of these, raised, as --failing asked",
    "recovered": "of these, took over from another worker",
    "fenced": "of these, went on beside the one that had taken over",
    "refused": "commits of such runs that counted for nothing, as it must be",
}


@dataclass(frozen=True, slots=True)
class Result:
    """What an audit found.

    Attributes:
        verdict: about the messages.
        logics: those that were driven.
        refusals: why messages were refused for the moment, with counts.
        failures: why commands that were to kill or pause a worker did not, with counts.
        commands: how many there were to choose from.
        bound: milliseconds that a takeover was allowed; None: any.
    """

    verdict: Verdict
    logics: Sequence[str]
    refusals: Mapping[str, int]
    failures: Mapping[str, int]
    commands: int = 0
    bound: int | None = None

    @property
    def unshown(self) -> str:
        """What was asked for and not shown, because it did not happen; empty: nothing."""
        if self.commands and not self.verdict.disturbances:
            return "no --kill-cmd ended well before all was done; send more, or set --kill-every"
        if self.bound is not None and self.verdict.takeover_times(calm=True) is None:
            return (
                "no message was cut short without another disturbance before it was taken over, so there is nothing "
                "to hold against --takeover-bound; send more, or set --kill-every to more than the bound"
            )
        return ""

    @property
    def notes(self) -> Iterator[str]:
        """What the verdict does not say."""
        if self.commands and not self.verdict.recovered:
            yield "no message was cut short, so nothing is said about takeovers"
        for what, count in self.failures.items():
            yield f"{count} times: {what}"
        for why, count in self.refusals.items():
            yield f"refused for the moment, and accepted later, {count} times: {why}"


def summary(result: Result) -> dict[str, object]:
    """As JSON-able values."""
    verdict = result.verdict
    return {
        "good": verdict.good,
        "logics": list(result.logics),
        "keys": verdict.keys,
        "sent": verdict.sent,
        **{kind.value: verdict.count(kind) for kind in Kind},
        **{name: getattr(verdict, name) for name in _NUMBERS},
        "latency_ms": _plain(verdict.latency),
        "effect_latency_ms": _plain(verdict.effect_latency),
        "takeover_ms": _plain(verdict.takeover_times(calm=True)),
        "disturbed_takeover_ms": _plain(verdict.takeover_times(calm=False)),
        "workers": dict(verdict.workers),
        "disturbances": dict(verdict.disturbances),
        "refusals": dict(result.refusals),
        "notes": list(result.notes),
        "by_key": verdict.by_key(),
        "violations": [dataclasses.asdict(one) for one in verdict.violations[:_LISTED]],
        "takeovers": [dataclasses.asdict(one) for one in _slowest(verdict, _LISTED)],
    }


def show(result: Result) -> None:
    """For people."""
    console, verdict = screen(), result.verdict
    tables = [_head(result), _times(verdict)]
    if verdict.takeovers:
        tables.append(_takeovers(_slowest(verdict, _SLOWEST)))
    for table in tables:
        console.print(table, "")
    if verdict.violations:
        _show_violations(console, verdict)
    for note in result.notes:
        console.print(f"Note: {escape(note)}.")
    console.print("[green]Nothing is wrong.[/]" if verdict.good else "[red]Something is wrong.[/]")


def _head(result: Result) -> Table:
    verdict = result.verdict
    table = _table("Audit", "", "")
    table.columns[1].justify = "right"
    table.add_row("messages", str(verdict.sent), f"for {', '.join(result.logics)}")
    table.add_row("keys", str(verdict.keys))
    table.add_row("worker processes", str(len(verdict.workers)))
    for kind, meaning in _MEANING.items():
        table.add_row(kind.value, _red(verdict.count(kind)), meaning)
    for name, meaning in _NUMBERS.items():
        table.add_row(name, str(getattr(verdict, name)), meaning)
    for what, count in verdict.disturbances.items():
        table.add_row("done to workers", str(count), escape(what))
    return table


def _times(verdict: Verdict) -> Table:
    table = _table("Milliseconds", "Count", "p50", "p95", "p99", "max")
    for name, found in (
        ("sent to started", verdict.latency),
        ("sent to effect", verdict.effect_latency),
        ("takeover", verdict.takeover_times(calm=True)),
        ("takeover, disturbed again", verdict.takeover_times(calm=False)),
    ):
        if found is not None:
            table.add_row(name, *map(str, dataclasses.astuple(found)))
    return table


def _takeovers(slowest: Sequence[Takeover]) -> Table:
    table = _table("Slowest takeovers", "Message", "From", "To", "ms", "")
    for one in slowest:
        words = (one.key, str(one.number), one.from_worker, one.to_worker, str(one.milliseconds))
        table.add_row(*map(escape, words), "" if one.calm else "disturbed again")
    return table


def _show_violations(console: Console, verdict: Verdict) -> None:
    by_key = verdict.by_key()
    table = _table("Key", *(kind.value for kind in Kind))
    for key, counts in list(by_key.items())[:_SHOWN]:
        table.add_row(escape(key), *(_red(counts.get(kind, 0)) for kind in Kind))
    console.print(table, "")
    if len(by_key) > _SHOWN:
        console.print(f"… and {len(by_key) - _SHOWN} more keys; --json lists them\n")
    for one in verdict.violations[:_SHOWN]:
        console.print(f"[red]{one.kind.value}[/] {escape(one.key)}: {escape(one.text)}")
    if len(verdict.violations) > _SHOWN:
        console.print(f"… and {len(verdict.violations) - _SHOWN} more; --json lists {_LISTED}")
    console.print()


def _slowest(verdict: Verdict, count: int) -> Sequence[Takeover]:
    return sorted(verdict.takeovers, key=lambda one: -one.milliseconds)[:count]


def _table(*columns: str) -> Table:
    return Table(*columns, box=None, pad_edge=False)


def _red(count: int) -> str:
    return f"[red]{count}[/]" if count else "0"


def _plain(found: Percentiles | None) -> dict[str, int] | None:
    return None if found is None else dataclasses.asdict(found)
