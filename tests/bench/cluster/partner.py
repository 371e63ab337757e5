"""A process of a measurement, as the benchmark sees it: started, asked, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from gobroke_dist.lifeline import tied
from tests.bench.crew import Failed, environment
from tests.bench.field import ROOT, Program

_PATIENCE = 60.0
_CPUCLOCK_SCHED = 2


class Partner:
    """One process. It is led as ``tests.bench.cluster.answering`` says, or just says that it is ready.

    Args:
        program: whose interpreter and variables it gets.
        module: what it runs.
        arguments: of its command line.
    """

    def __init__(self, program: Program, module: str, *arguments: str) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self._process = subprocess.Popen(
            tied([program.python, "-m", module, *arguments]),
            env=environment(program),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._rest = b""

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Make a request, and wait for the answer. Raises ``Failed``."""
        with contextlib.suppress(BrokenPipeError):  # then there is no answer, and that says more
            self._in.write(json.dumps({"do": do} | arguments).encode() + b"\n")
        return self.hear(do)

    def hear(self, what: str = "start") -> dict[str, Any]:
        """Wait for the next thing that it says. Raises ``Failed``. ``what``: it does meanwhile."""
        deadline = time.monotonic() + _PATIENCE
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._out], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise Failed(f"{what} took longer than {_PATIENCE:g} s: {self._last_words()}")
            part = os.read(self._out.fileno(), 1 << 16)
            if not part:
                raise Failed(f"{what}: the process ended: {self._last_words()}")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def cpu(self) -> float:
        """CPU seconds so far, of all its threads, from its own clock: see clock_getcpuclockid(3)."""
        return time.clock_gettime(~self._process.pid << 3 | _CPUCLOCK_SCHED)

    def end(self) -> None:
        """At once: nothing of it is needed any more, and Redis is emptied."""
        self._process.kill()
        self._process.wait()
        for stream in (self._in, self._out, self._errors):
            stream.close()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"


@contextlib.contextmanager
def partner(program: Program, module: str, *arguments: str) -> Iterator[Partner]:
    """A process that ends with the block."""
    started = Partner(program, module, *arguments)
    try:
        yield started
    finally:
        started.end()
