"""Worker processes that are killed, stopped and restarted, and are there again a moment later."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from gobroke_dist.audit.record import Disturbed
from gobroke_dist.lifeline import tied

_POLL = 0.05
_TERM_TIMEOUT = 20.0
_FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"


def find_faketime() -> str | None:
    """The path of libfaketime, of Debian's package of that name."""
    found = sorted(Path("/").glob(_FAKETIME.lstrip("/")))
    return str(found[0]) if found else None


class Workers:
    """A number of places, each with a worker process in it.

    Args:
        count: how many.
        command: what each runs.
        environment: of each.
        folder: for what they print.
        note: takes down what is done to them.
        now: the record's clock.
        own_environment: more, for the process in one place.

    Attributes:
        counts: what was done, and how processes ended: ``exit 0`` and so on.
    """

    def __init__(
        self,
        count: int,
        *,
        command: list[str],
        environment: Mapping[str, str],
        folder: Path,
        note: Callable[[Disturbed], None],
        now: Callable[[], int],
        own_environment: Mapping[int, Mapping[str, str]] | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._command = command
        self._environment = dict(environment)
        self._own = own_environment or {}
        self._folder = folder
        self._note = note
        self._now = now
        self._processes: list[subprocess.Popen[bytes]] = []
        self._asked: dict[int, float] = {}
        self._stopped: set[int] = set()
        self._wanted = count
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start them, and start each again that ends."""
        self._processes = [self._spawn(slot) for slot in range(self._wanted)]
        self._keeper = asyncio.create_task(self._keep(), name="chaos-workers")

    def name(self, slot: int) -> str:
        """As the record names the process in a place."""
        return f"{os.uname().nodename}:{self._processes[slot].pid}"

    def kill(self, slot: int) -> None:
        """SIGKILL."""
        self._tell(slot, "kill", signal.SIGKILL)

    def term(self, slot: int) -> None:
        """SIGTERM; a new process takes its place when it has ended."""
        self._asked[self._processes[slot].pid] = time.monotonic()
        self._tell(slot, "term", signal.SIGTERM)

    async def pause(self, slot: int, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later, if the process is still there."""
        process = self._processes[slot]
        self._tell(slot, "stop", signal.SIGSTOP)
        self._stopped.add(process.pid)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._stopped.discard(process.pid)
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """SIGTERM to all, and wait until they have ended; those that do not are killed and counted."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        for slot, process in enumerate(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                self._asked[process.pid] = time.monotonic()
                self._tell(slot, "last term", signal.SIGTERM)
        ending = [asyncio.to_thread(process.wait, _TERM_TIMEOUT) for process in self._processes]
        await asyncio.gather(*ending, return_exceptions=True)
        self.kill_all()

    def kill_all(self) -> None:
        """Leave nothing behind."""
        for process in self._processes:
            if process.poll() is None:
                self.counts["hung at the end"] += 1
                process.kill()
            self._ended(process)
        self._processes = []

    def _tell(self, slot: int, what: str, number: signal.Signals) -> None:
        process = self._processes[slot]
        if process.poll() is not None:
            return
        self._note(Disturbed(what, self.name(slot), self._now()))
        self.counts[what] += 1
        process.send_signal(number)

    async def _keep(self) -> None:
        while True:
            for slot, process in enumerate(self._processes):
                if process.poll() is not None:
                    self._ended(process)
                    self._processes[slot] = self._spawn(slot)
                elif time.monotonic() - self._asked.get(process.pid, time.monotonic()) > _TERM_TIMEOUT:
                    self.counts["hung at SIGTERM"] += 1
                    del self._asked[process.pid]
                    process.kill()
            await asyncio.sleep(_POLL)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        asked = self._asked.pop(process.pid, None)
        if asked is not None and code == 0:
            self.counts["ended when asked"] += 1
        elif code != -signal.SIGKILL:
            self.counts[f"ended with code {code}"] += 1

    def _spawn(self, slot: int) -> subprocess.Popen[bytes]:
        self.counts["started"] += 1
        with contextlib.ExitStack() as stack:
            output = stack.enter_context((self._folder / f"worker-{slot}.log").open("ab"))
            environment = {**os.environ, **self._environment, **self._own.get(slot, {})}
            command = tied([sys.executable, *self._command])
            return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
