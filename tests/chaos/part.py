"""What the parts of ``make chaos`` have in common."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says.

    Attributes:
        seed: of everything that is chosen.
        minutes: about how long faults go on.
        quick: less of everything.
        controls: whether guards are taken out, too.
        keys, messages: of the queues, each key's messages.
        clients: of the edges.
        redis_server: the path of the server to use; None: as the embedded Redis finds it.
        keep: a folder for what processes have said; None: it is not kept.
        arguments: the command line's, to run it again.
    """

    seed: int = 1
    minutes: float = 6.0
    quick: bool = False
    controls: bool = True
    keys: int = 1000
    messages: int = 100
    clients: int = 2000
    redis_server: str | None = None
    keep: Path | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a part.

    Attributes:
        page: about it, in Markdown.
        sentence: the page in one line.
        good: whether promises were kept, and that says anything.
    """

    page: str
    sentence: str
    good: bool


def say(text: str) -> None:
    """Tell who waits how it goes."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
