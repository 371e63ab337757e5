"""A result as a page of the documentation, with its plot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.sheets import Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page.

    Attributes:
        name: of its two files, ``NAME.md`` and ``NAME.svg``.
        title: its heading.
        caption: of the plot.
        method: how it was measured.
        sheets: its tables.
        facts: what it was measured on.
        plot: an SVG.
    """

    name: str
    title: str
    caption: str
    method: str
    sheets: Iterable[Sheet]
    facts: dict[str, str]
    plot: str

    def write(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.svg").write_text(self.plot)
        parts = [
            f"# {self.title}",
            f"![{self.caption}]({self.name}.svg)",
            self.method,
            *(_markdown(sheet) for sheet in self.sheets),
            "## Measured on",
            "\n".join(f"- {name}: {value}" for name, value in self.facts.items()),
        ]
        (folder / f"{self.name}.md").write_text("\n\n".join(parts) + "\n")


def _markdown(sheet: Sheet) -> str:
    rule = ["---", *("---:" for _ in sheet.columns[1:])]
    lines = [f"| {' | '.join(cells)} |" for cells in (sheet.columns, rule, *sheet.rows)]
    return f"## {sheet.title}\n\n{sheet.words}\n\n" + "\n".join(lines)
