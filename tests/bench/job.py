"""What one process of a benchmark is told, through its environment. Standard library only: peers import it too."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Literal

VARIABLE = "GOBROKE_BENCH_JOB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One load and one drain.

    Attributes:
        url: of the Redis that all use.
        board: path of the board on which handlers count.
        measure: what a handler does: count, or note how old its message is.
        handler: its colour.
        processes, threads: of the workers; ``processes`` counts for contestants that start their own.
        prefetch: messages that one process may hold; 0: the contestant's default.
        messages: how many to send.
        keys: ordering keys, used in turn by whoever knows keys.
        payload: bytes in a message.
        seed: of the gaps between single messages.
        gaps: seconds between single messages, shortest and longest.
        prefix: of the keys, for a contestant that is to have several sets of them.
        lease: seconds of a worker's silence after which others take its messages; 0: the default.
    """

    url: str
    board: str
    measure: Literal["count", "age"] = "count"
    handler: Literal["def", "async"] = "def"
    processes: int = 1
    threads: int = 8
    prefetch: int = 0
    messages: int = 0
    keys: int = 100
    payload: int = 100
    seed: int = 0
    gaps: tuple[float, float] = (0.05, 0.25)
    prefix: str = ""
    lease: float = 0.0

    @property
    def text(self) -> str:
        """A payload."""
        return "x" * self.payload

    def environment(self) -> dict[str, str]:
        """The variable that says all this."""
        return {VARIABLE: json.dumps(asdict(self))}


def current() -> Job:
    """The job of this process."""
    return Job(**json.loads(os.environ[VARIABLE]))
