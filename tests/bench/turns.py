"""Who is measured when, and what is shown meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tests.bench.crew import Failed
from tests.bench.field import Program
from tests.bench.figures import Book


class Case(Protocol):
    """As far as turns need it."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def contestants(self) -> tuple[str, ...]: ...
    @property
    def rounds(self) -> int: ...


C = TypeVar("C", bound=Case)


@dataclass(frozen=True, slots=True)
class Turn:
    """One measurement: of whom, and what makes it and writes it down."""

    round: int
    case: Case
    program: Program
    measure: Callable[[], None]


def interleaved(cases: Iterable[C], rounds: int) -> Iterator[tuple[int, C, str]]:
    """Each contestant of each case once, then each again."""
    cases = tuple(cases)
    for number in range(rounds):
        for case in cases:
            if not case.rounds or number < case.rounds:
                for contestant in case.contestants:
                    yield number, case, contestant


def take(turns: Sequence[Turn], book: Book, console: Console) -> None:
    """Take all turns. One that fails is noted, and the others go on."""
    columns = (TextColumn("{task.description:<44}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=len(turns))
        for turn in turns:
            name = turn.program.name
            progress.update(bar, description=f"round {turn.round + 1}: {turn.case.title}: {name}")
            try:
                if turn.program.missing:
                    raise Failed(turn.program.missing)
                turn.measure()
            except Failed as error:
                book.failures[turn.case.name, name] = str(error)
                console.print(f"{turn.case.title}: {name}: {error}", style="red", markup=False)
            progress.advance(bar)
