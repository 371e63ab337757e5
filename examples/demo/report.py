"""What is printed: tables for people, JSON for scripts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from examples.demo.cluster import Member
from examples.demo.killing import Killing
from examples.demo.record import Record
from examples.demo.verdict import Kind, Verdict

SHOWN_FAULTS = 20


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of a check.

    Args:
        verdict: about the messages.
        record: the run itself.
        killing: the kill in its middle; None: there was to be none.
        seconds: how long the run took.
    """

    verdict: Verdict
    record: Record
    killing: Killing | None
    seconds: float

    @property
    def kill_bit(self) -> bool:
        """Whether the kill cut messages short: otherwise the run shows nothing about it."""
        return self.verdict.again > 0

    @property
    def good(self) -> bool:
        """Whether the check has passed."""
        in_vain = self.killing is not None and self.killing.aimed and not self.kill_bit
        return self.verdict.good and not self.record.complaints and not in_vain

    def as_json(self) -> str:
        """Everything, for scripts."""
        verdict = self.verdict
        facts = {
            "ok": self.good,
            "sent": verdict.sent,
            "keys": verdict.rooms,
            "expected": verdict.expected,
            "received": verdict.received,
            **{str(kind): verdict.count(kind) for kind in Kind},
            "latency_ms": verdict.latency and asdict(verdict.latency),
            "calm_latency_ms": verdict.calm_latency and asdict(verdict.calm_latency),
            "seconds": round(self.seconds, 3),
            "clients_by_edge": Counter(self.record.nodes.values()),
            "messages_by_worker": verdict.by_worker,
            "kill": self.killing and asdict(self.killing),
            "handled_again": verdict.again,
            "taken_over": verdict.recovered,
            "faults": [asdict(fault) for fault in verdict.faults[:SHOWN_FAULTS]],
            "complaints": self.record.complaints[:SHOWN_FAULTS],
        }
        return json.dumps(facts, indent=2)

    def print(self, console: Console) -> None:
        """Everything, for people."""
        console.print(self._messages(), self._processes(), sep="\n")
        for fault in self.verdict.faults[:SHOWN_FAULTS]:
            at = f" at {fault.receiver}" if fault.receiver else ""
            console.print(f"[red]{fault.kind}[/] in {fault.room}{at}: {fault.text}", highlight=False)
        if len(self.verdict.faults) > SHOWN_FAULTS:
            console.print(f"… and {len(self.verdict.faults) - SHOWN_FAULTS} more")
        for complaint in self.record.complaints[:SHOWN_FAULTS]:
            console.print("[red]complaint[/]", complaint, highlight=False)
        console.print(self._conclusion())

    def _messages(self) -> Table:
        verdict = self.verdict
        table = _table("Messages", "", right=2)
        table.add_row("sent", f"{verdict.sent:,}")
        table.add_row("keys (rooms)", str(verdict.rooms))
        table.add_row("deliveries due", f"{verdict.expected:,}")
        table.add_row("deliveries received", f"{verdict.received:,}")
        for kind in Kind:
            count = verdict.count(kind)
            table.add_row(kind.replace("_", " "), f"[red]{count:,}[/]" if count else "[green]0[/]")
        calm = "latency" if self.killing is None else "latency before the kill"
        for name, latency in ((calm, verdict.calm_latency), ("latency in all", self.killing and verdict.latency)):
            if latency is not None:
                for rank, value in asdict(latency).items():
                    table.add_row(f"{name}, {rank}", f"{value:,.1f} ms")
        table.add_row("duration", f"{self.seconds:.1f} s")
        return table

    def _processes(self) -> Table:
        table = _table("Processes", "")
        for node, clients in sorted(Counter(self.record.nodes.values()).items()):
            table.add_row(node, f"{clients} clients")
        for worker, messages in self.verdict.by_worker.items():
            table.add_row(f"worker {worker}", f"{messages:,} messages")
        if self.killing is not None:
            table.add_row("killed", f"{self.killing.victim}: {self.killing.how}")
            if self.killing.seconds_to_replace is not None:
                table.add_row("replaced by", f"{self.killing.replaced_by} in {self.killing.seconds_to_replace:.1f} s")
            table.add_row("messages cut short", f"{self.verdict.again} were handled again by another worker")
            table.add_row("", f"({self.verdict.recovered} of them marked as taken over from a dead one)")
        return table

    def _conclusion(self) -> str:
        if self.good and self.killing is not None and not self.kill_bit:
            return "[green bold]Nothing was lost, duplicated or out of order.[/] The kill came between two messages."
        if self.good:
            return "[green bold]Nothing was lost, duplicated or out of order.[/]"
        if self.verdict.good and not self.record.complaints:
            return "[red bold]The kill cut no message short, so the run does not show a takeover. Run it again.[/]"
        return "[red bold]The check failed.[/]"


def members_table(members: Sequence[Member], others: Sequence[tuple[str, int, str]]) -> Table:
    """What is running: role, process id and address."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Role", "Node", "Pid"):
        table.add_column(column, no_wrap=True)
    table.add_column("Address", overflow="fold")
    for member in members:
        table.add_row(member.role, member.node, str(member.pid), " ".join(map(page_of, member.addresses)))
    for role, pid, address in others:
        table.add_row(role, "", str(pid), address)
    return table


def page_of(address: str) -> str:
    """The page that the edge with this WebSocket address serves."""
    return address.replace("ws://", "http://", 1).removesuffix("/ws")


def _table(*columns: str, right: int = 0) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns, start=1):
        table.add_column(column, justify="right" if number == right else "left", overflow="fold")
    return table
