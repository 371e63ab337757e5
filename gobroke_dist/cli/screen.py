"""Where tables are printed."""

from __future__ import annotations

from rich.console import Console

_WIDE = 250


def screen() -> Console:
    """Standard output; a file or a pipe has no edge that a line could break at."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDE
    return console
