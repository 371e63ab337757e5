"""What the commands that handle queues have in common."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from gobroke_dist.cli.exits import Exit, explained, fail
from gobroke_dist.cli.options import application
from gobroke_dist.logic import queues_of
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.operating import operating

AnyQueue = Annotated[str | None, typer.Option("--queue", help="Only this logic's queue; unset: all.")]
OneQueue = Annotated[str, typer.Option("--queue", help="The logic's queue.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many to show of each queue.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]


@dataclass(frozen=True, slots=True)
class Place:
    """Which queues of which application, and the way to them."""

    link: Link
    queues: tuple[str, ...]


@contextmanager
def at_queues(path: str, queue: str | None, **flags: Any) -> Iterator[Place]:
    """The queues that a command is about. What is wrong ends the command with a line that says so.

    Args:
        path: the application's.
        queue: one of its queues; None: all.
        flags: of the settings.
    """
    with explained():
        broke = application(path, **flags)
        names = queues_of(broke.logics)
        if queue is not None and queue not in names:
            raise fail(f"no logic with a queue is named {queue!r}; there are {', '.join(names)}", Exit.USAGE)
        with operating(broke.settings) as link:
            yield Place(link, tuple(names) if queue is None else (queue,))


def say(value: object) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(value))


def ago(unix: float) -> str:
    """How long ago that was, for people."""
    return duration(time.time() - unix)


def duration(seconds: float | None) -> str:
    """A length of time, for people."""
    if seconds is None:
        return "?"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def more(shown: int, total: int) -> Sequence[str]:
    """A last line, if not all was shown."""
    return [f"{total - shown} more; see --limit."] if total > shown else []
