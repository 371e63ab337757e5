"""The result in a terminal, and as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.figures import Book
from tests.bench.goals import Goal
from tests.bench.sheets import Sheet


def show(sheets: Iterable[Sheet], console: Console) -> None:
    """Draw all tables."""
    for sheet in sheets:
        console.print(_drawn(sheet))


def _drawn(sheet: Sheet) -> Table:
    drawn = Table(title=sheet.title, caption=sheet.words, title_justify="left", caption_justify="left")
    for number, column in enumerate(sheet.columns):
        drawn.add_column(column, justify="right" if number else "left")
    for row in sheet.rows:
        drawn.add_row(*(cell.replace("**", "") for cell in row))
    return drawn


def plain(book: Book, cases: Iterable[dict[str, Any]], goals: Iterable[Goal], facts: dict[str, str]) -> dict[str, Any]:
    """Every figure of every round, for programs."""
    return {
        "machine": facts,
        "cases": list(cases),
        "figures": [{**asdict(subject), "rounds": rounds} for subject, rounds in book.series.items()],
        "latency": book.ages,
        "takeovers": book.takeovers,
        "failures": [{"case": case, "contestant": name, "why": why} for (case, name), why in book.failures.items()],
        "goals": [
            {"what": goal.what, "bound": goal.bound, "measured": goal.measured(book), "reached": goal.reached(book)}
            for goal in goals
        ],
    }
