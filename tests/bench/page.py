"""The result as a page of the documentation, with its plot."""

from __future__ import annotations

from pathlib import Path

from tests.bench.figures import Book
from tests.bench.plan import Plan
from tests.bench.plot import plot
from tests.bench.sheets import Sheet, sheets

_METHOD = """\
`make bench` wrote this page. In each round every contestant takes one turn, one after another, and then the next round
begins; a figure is the median over the rounds, and a ratio is taken within each round before the median is. All use one
Redis over TCP on the same machine, with the append-only file that the product ships with, and real processes. A backlog
is sent first, the workers boot and wait at a gate, and then all begin at once; what is shown does not include their
start. Handlers do nothing but count in memory that they share with the benchmark, which costs the same for all.

Workers have 8 threads per process unless the row says otherwise. Celery, Taskiq, arq and Huey run as their
documentation recommends for many short tasks, each with its own versions of its own packages: see
`tests/bench/contestants/`. They promise different things: gobroke_dist keeps order by key, acknowledges after the
handler, and fences off workers that lost their lease; Dramatiq, Taskiq on streams and arq acknowledge after the
handler and keep no order; Celery acknowledges before it, by default; Huey and Taskiq on a list lose what runs when a
worker dies."""


def write(folder: Path, book: Book, plan: Plan, facts: dict[str, str]) -> None:
    """Write ``queue.md`` and ``queue.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "queue.svg").write_text(plot(book, plan))
    parts = [
        "# The WORKER path, measured",
        "![Messages per second of each contestant](queue.svg)",
        _METHOD,
        *(_markdown(sheet) for sheet in sheets(book, plan)),
        "## Measured on",
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
    ]
    (folder / "queue.md").write_text("\n\n".join(parts) + "\n")


def _markdown(sheet: Sheet) -> str:
    rule = ["---", *("---:" for _ in sheet.columns[1:])]
    lines = [f"| {' | '.join(cells)} |" for cells in (sheet.columns, rule, *sheet.rows)]
    return f"## {sheet.title}\n\n{sheet.words}\n\n" + "\n".join(lines)
