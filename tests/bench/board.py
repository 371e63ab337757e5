"""Shared memory on which handlers count, at the same small cost in every contestant, and a gate to start them at once.

Standard library only: peers import it too. All times are of the monotonic clock, which is one for the whole machine.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import threading
import time
from pathlib import Path

SLOTS = 32
AGES = 4096
_HEADER, _SLOT = 16, 32
_AGES_AT = _HEADER + SLOTS * _SLOT
_SIZE = _AGES_AT + SLOTS * AGES * 8
_POLL = 0.002


class Slot:
    """One worker process's part of the board. A forked child gets one of its own.

    Args:
        path: a file made by ``Board``.
    """

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)
        self._path = path
        self._claim()
        os.register_at_fork(after_in_child=self._claim)

    def count(self, _payload: object = None) -> None:
        """A handler that does nothing."""
        with self._lock:
            now = time.monotonic_ns()
            self._count += 1
            if self._count == 1:
                struct.pack_into("<q", self._memory, self._at + 16, now)
            struct.pack_into("<q", self._memory, self._at + 24, now)
            struct.pack_into("<q", self._memory, self._at + 8, self._count)

    def age(self, payload: str) -> None:
        """A handler of a message that says when it was sent."""
        age = time.monotonic_ns() - int(payload)
        with self._lock:
            struct.pack_into("<q", self._memory, self._ages_at + 8 * (self._count % AGES), age)
        self.count()

    def wait_for_go(self) -> None:
        """Say that this process is ready to consume, and wait until all are."""
        struct.pack_into("<q", self._memory, self._at, 1)
        while not self._memory[0]:
            time.sleep(_POLL)

    def _claim(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        with open(self._path, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (number,) = struct.unpack_from("<q", self._memory, 8)
            struct.pack_into("<q", self._memory, 8, number + 1)
        if number >= SLOTS:
            raise RuntimeError("more worker processes than the board has slots")
        self._at = _HEADER + number * _SLOT
        self._ages_at = _AGES_AT + number * AGES * 8


class Board:
    """The whole of it, for who measures.

    Args:
        path: where the file is to be; it is overwritten.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("w+b") as file:
            file.truncate(_SIZE)
            self._memory = mmap.mmap(file.fileno(), _SIZE)

    def ready(self) -> int:
        """How many processes wait for the gate."""
        return sum(ready for ready, _, _, _ in self._slots())

    def go(self) -> None:
        """Open the gate."""
        self._memory[0] = 1

    def total(self) -> int:
        """How often handlers ran."""
        return sum(count for _, count, _, _ in self._slots())

    def seconds(self) -> float:
        """From the first handler's run to the last one's."""
        ran = [(first, last) for _, count, first, last in self._slots() if count]
        return (max(last for _, last in ran) - min(first for first, _ in ran)) / 1e9 if ran else 0.0

    def ages(self) -> list[float]:
        """Seconds from send to handler, of each message."""
        ages: list[float] = []
        for number, (_, count, _, _) in enumerate(self._slots()):
            at = _AGES_AT + number * AGES * 8
            ages += [age / 1e9 for age in struct.unpack_from(f"<{min(count, AGES)}q", self._memory, at)]
        return ages

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def _slots(self) -> list[tuple[int, int, int, int]]:
        return [struct.unpack_from("<qqqq", self._memory, _HEADER + number * _SLOT) for number in range(SLOTS)]
