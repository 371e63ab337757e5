"""What the receivers of one process have heard, and how many messages that is, for the senders of another."""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path
from typing import Any


class Tally:
    """A count in shared memory: one process writes it, another reads it.

    Args:
        path: of a file; it is made if it is not there.
    """

    def __init__(self, path: str) -> None:
        Path(path).touch()
        with open(path, "r+b") as file:
            file.truncate(8)
            self._memory = mmap.mmap(file.fileno(), 8)

    def write(self, count: int) -> None:
        """Say how many."""
        struct.pack_into("<q", self._memory, 0, count)

    def read(self) -> int:
        """How many the other process said."""
        count: int = struct.unpack_from("<q", self._memory)[0]
        return count


class Heard:
    """Messages that arrived.

    Attributes:
        ages: nanoseconds from send to arrival, of each.
        last: when the last one arrived.
        strange: the last frame that nobody expected.
        tally: where to count as well.
    """

    def __init__(self) -> None:
        self.ages: list[int] = []
        self.last = 0
        self.strange = ""
        self.tally: Tally | None = None

    def note(self, sent: int) -> None:
        """One more."""
        self.last = time.monotonic_ns()
        self.ages.append(self.last - sent)
        if self.tally is not None:
            self.tally.write(len(self.ages))

    def told(self, *, ages: bool) -> dict[str, Any]:
        """How many messages came, when the last one did, and with ``ages`` how old each was."""
        told = {"count": len(self.ages), "last": self.last, "strange": self.strange}
        return told | ({"ages": self.ages} if ages else {})

    def count_in(self, path: str) -> None:
        """Count in shared memory as well, from now on."""
        self.tally = Tally(path)
        self.tally.write(len(self.ages))

    def forget(self) -> None:
        """Begin again."""
        self.ages = []
        self.last = 0
        if self.tally is not None:
            self.tally.write(0)
