"""How both parts of ``make chaos`` come to their one sentence: were promises kept, and does that say anything?"""

from __future__ import annotations

import os
import platform
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from gobroke_dist import __version__
from tests.chaos.proof import Proof

ScenarioT = TypeVar("ScenarioT")


class Broken(Protocol):
    """A broken promise."""

    @property
    def kind(self) -> StrEnum: ...


class Judged(Protocol):
    """What came of a run."""

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        ...

    @property
    def violations(self) -> Sequence[Broken]: ...


@dataclass(frozen=True)  # without slots: Python 3.11 can't build a frozen, generic one that has them
class Control(Generic[ScenarioT]):
    """A guard, and what must go wrong without it; nothing must, when ``kinds`` is empty.

    Attributes:
        guard: its name.
        kinds: at least one violation of one of these is expected.
        scenario: what is run.
    """

    guard: str
    kinds: tuple[StrEnum, ...]
    scenario: ScenarioT

    def holds(self, outcome: Judged) -> bool:
        """Whether it went as it must."""
        if not self.kinds:
            return outcome.good
        return any(one.kind in self.kinds for one in outcome.violations)

    @property
    def what(self) -> str:
        """What is run, for people."""
        return f"without {self.guard}" if self.kinds else "the controls' own run, every guard in place"

    def row(self, outcome: Judged) -> tuple[object, ...]:
        """A line of ``table``."""
        found = Counter(one.kind.value for one in outcome.violations)
        text = ", ".join(f"{kind}: {count}" for kind, count in sorted(found.items())) or "nothing wrong"
        return self.guard, text, "yes" if self.holds(outcome) else "**no**"


class Judgement(ABC):
    """A report's.

    Attributes:
        controls: each control with its outcome.
    """

    controls: Sequence[tuple[Control[Any], Any]]

    @property
    @abstractmethod
    def kept(self) -> bool:
        """Whether every promise was kept."""

    @property
    @abstractmethod
    def bites(self) -> Iterable[Proof]:
        """Whether the faults bit."""

    @property
    def proven(self) -> bool:
        """Whether that says anything: every fault bit, and every guard was missed when it was gone."""
        return all(one.bit for one in self.bites) and all(control.holds(found) for control, found in self.controls)

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

    @property
    def rows(self) -> list[tuple[object, ...]]:
        """Lines of ``table`` about the controls."""
        return [control.row(found) for control, found in self.controls]


def begun(arguments: str, seed: int) -> list[tuple[str, object]]:
    """The first lines of a table of conditions."""
    return [("command", f"`python -m tests.chaos {arguments}`".replace(" `", "`")), ("seed", seed)]


def measured_on(redis_version: str) -> list[tuple[str, object]]:
    """Its last lines."""
    return [
        ("version", f"gobroke_dist {__version__}, Redis {redis_version}, Python {platform.python_version()}"),
        ("machine", f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"),
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
