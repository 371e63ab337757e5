"""The processes of one contestant: started, measured and ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gobroke_dist.lifeline import tied
from tests.bench.field import ROOT, Contestant, Program
from tests.bench.job import Job

_TICK = os.sysconf("SC_CLK_TCK")
_LOAD_TIMEOUT = 300
_STOP_PATIENCE = 3.0


class Failed(Exception):
    """A contestant did not do what it was to do; the text is its last words."""


class Crew:
    """A contestant's worker processes.

    Args:
        contestant: whose.
        job: what they are to do.
    """

    def __init__(self, contestant: Contestant, job: Job) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the crew
        count = 1 if contestant.own_processes else job.processes
        self.processes = [
            subprocess.Popen(
                tied(_command(contestant, "work")),
                env=environment(contestant, **job.environment()),
                cwd=ROOT,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
            )
            for _ in range(count)
        ]

    def cpu(self) -> float:
        """CPU seconds of all processes so far, children included."""
        sessions = {process.pid for process in self.processes}
        return sum(_cpu_of(sessions))

    def check(self) -> None:
        """Raise ``Failed`` if one has ended."""
        for process in self.processes:
            if process.poll() is not None:
                raise Failed(f"a worker ended with {process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of what they printed."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"

    def end(self) -> None:
        """SIGTERM, and SIGKILL for those that take long."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_PATIENCE
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._output.close()


@contextlib.contextmanager
def crew(contestant: Contestant, job: Job) -> Iterator[Crew]:
    """Worker processes that end with the block."""
    started = Crew(contestant, job)
    try:
        yield started
    finally:
        started.end()


def play(contestant: Contestant, role: str, job: Job) -> dict[str, float]:
    """Run another role of the contestant's to its end. Returns what it reports. Raises ``Failed``."""
    try:
        ran = subprocess.run(
            _command(contestant, role),
            env=environment(contestant, **job.environment()),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_LOAD_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"{role} took longer than {_LOAD_TIMEOUT} s") from None
    if ran.returncode:
        raise Failed(f"{role} failed: " + " / ".join(ran.stderr.strip().splitlines()[-3:]))
    lines = ran.stdout.strip().splitlines()
    reported: dict[str, float] = json.loads(lines[-1]) if lines else {}
    return reported


def environment(program: Program, **more: str) -> dict[str, str]:
    """The variables of a program's process: none that would set up the product otherwise than the benchmark does."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GOBROKE_", "dramatiq_"))}
    return {**inherited, **dict(program.environment), **more, "PYTHONPATH": str(ROOT)}


def _command(contestant: Contestant, role: str) -> list[str]:
    return [contestant.python, "-m", f"tests.bench.contestants.{contestant.module}", role]


def _cpu_of(sessions: set[int]) -> Iterator[float]:
    """Fields 6 and 14 to 17 of /proc/[pid]/stat, see proc(5): also of children that have ended and were waited for."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) in sessions:
                    yield sum(map(int, fields[11:15])) / _TICK
