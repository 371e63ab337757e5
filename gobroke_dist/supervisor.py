"""Keeps child processes running: one for each role of an application on one machine.

A child that dies is started again. One that never became ready and says why by its exit code (2: usage,
3: Redis, 4: address) ends everything, because to start it again would end the same way. No child outlives
this process: see ``lifeline``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gobroke_dist.errors import CouldNotStartProcessor
from gobroke_dist.lifeline import tied

log = logging.getLogger(__name__)

START_FAILURES = (2, 3, 4)
_FIRST_PAUSE = 0.2
_LAST_PAUSE = 30.0
_STEADY = 30.0  # seconds; after so long a life, a death starts with the first pause again
_LAST_WORDS = 1.0  # seconds to read what a child has left in its pipe
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class Report:
    """What a child says, as one JSON line on its ready descriptor, when it does its work."""

    addresses: tuple[str, ...] = ()

    def line(self) -> bytes:
        """The line to write."""
        return json.dumps({"addresses": self.addresses}).encode() + b"\n"

    @staticmethod
    def read(line: bytes) -> Report:
        """The report in a line. Raises ``ValueError``."""
        found: Any = json.loads(line)
        return Report(tuple(found["addresses"]))


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep running.

    Args:
        name: unique; stands before each line that it prints.
        command: gives the program and its arguments; called with the report of the last start (None at first)
            and the number of the descriptor to report on.
        environment: added to this process's own.
    """

    name: str
    command: Callable[[Report | None, int], Sequence[str]]
    environment: Mapping[str, str] = field(default_factory=dict)


class StartFailed(CouldNotStartProcessor):
    """A child ended before it was ready. ``exit_code`` is its own, ``child`` its name."""

    def __init__(self, child: str, exit_code: int, last_line: str) -> None:
        super().__init__(last_line or f"{child} ended with exit code {exit_code} before it was ready")
        self.child = child
        self.exit_code = exit_code


class Supervisor:
    """Runs children until told to stop. Make it on the event loop.

    Args:
        children: what to run.
        show: gets each line that a child prints, with the child's name.
        stop_timeout: seconds from SIGTERM to SIGKILL.
    """

    def __init__(self, children: Sequence[Child], *, show: Callable[[str, str], None], stop_timeout: float) -> None:
        self._keepers = [_Keeper(child, show) for child in children]
        self._stop_timeout = stop_timeout
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let ``run`` end the children and return. Safe to call twice, and from a signal handler of the loop."""
        self._stopping.set()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the children that run, by name."""
        return {keeper.child.name: keeper.process.pid for keeper in self._keepers if keeper.process is not None}

    async def run(self, *, ready: Callable[[dict[str, Report]], None] | None = None) -> None:
        """Run all children until ``stop``; then SIGTERM, and SIGKILL for those that take too long.

        Args:
            ready: called once, with each child's report, when all have become ready.

        Raises:
            StartFailed: one ended before it was ready, for a reason that will not pass. All are stopped.
        """
        keeping = [asyncio.create_task(keeper.keep(), name=keeper.child.name) for keeper in self._keepers]
        announcing = asyncio.create_task(self._announce(ready))
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((*keeping, stopping, announcing), return_when=asyncio.FIRST_COMPLETED)
            if announcing.done() and announcing.exception() is None:
                await asyncio.wait((*keeping, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            announcing.cancel()
            await self._end(keeping)
        for task in (*keeping, announcing):
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _announce(self, ready: Callable[[dict[str, Report]], None] | None) -> None:
        reports = {keeper.child.name: await keeper.first_report for keeper in self._keepers}
        if ready is not None:
            ready(reports)

    async def _end(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        for keeper in self._keepers:
            keeper.end(signal.SIGTERM)
        _, late = await asyncio.wait(keeping, timeout=self._stop_timeout)
        if late:
            names = ", ".join(sorted(task.get_name() for task in late))
            log.warning("%s did not end within %.3g s; killed", names, self._stop_timeout)
        for keeper in self._keepers:
            keeper.end(signal.SIGKILL)
        await asyncio.wait(keeping)


class _Keeper:
    """Keeps one child running."""

    def __init__(self, child: Child, show: Callable[[str, str], None]) -> None:
        self.child = child
        self.process: Process | None = None
        self.first_report: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._show = show
        self._ending = asyncio.Event()
        self._report: Report | None = None
        self._last_line = ""

    def end(self, number: signal.Signals) -> None:
        """Signal the child if it runs, and start it no more."""
        self._ending.set()
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def keep(self) -> None:
        """Start it again and again, until ``end``."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while not self._ending.is_set():
            started = loop.time()
            code = await self._life()
            if self._ending.is_set():
                return
            if not self.first_report.done() and code in START_FAILURES:
                raise StartFailed(self.child.name, code, self._last_line)
            pause = _FIRST_PAUSE if loop.time() - started > _STEADY else pause
            log.error("%s ended (%s); starting it again in %.3g s", self.child.name, _how(code), pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)
            pause = min(pause * 2, _LAST_PAUSE)

    async def _life(self) -> int:
        """From start to end of one process. Returns its exit code."""
        reading, writing = os.pipe()
        try:
            process = await self._start(writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self.process = process
        if self._ending.is_set():  # told to end while it was being started
            process.terminate()
        listening = asyncio.create_task(self._listen(reading))
        passing = asyncio.create_task(self._pass_on(process))
        try:
            code = await process.wait()
            # A grandchild may hold the pipe open; what the child itself said is there by now.
            await asyncio.wait((passing,), timeout=_LAST_WORDS)
            return code
        finally:
            self.process = None
            for task in (listening, passing):
                task.cancel()
            for problem in await asyncio.gather(listening, passing, return_exceptions=True):
                if isinstance(problem, Exception):
                    log.error("%s reported something unreadable: %r", self.child.name, problem)

    async def _start(self, ready_fd: int) -> Process:
        return await asyncio.create_subprocess_exec(
            *tied(self.child.command(self._report, ready_fd)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            pass_fds=(ready_fd,),
            env={**os.environ, **self.child.environment},
            # Ctrl+C in the terminal reaches this process alone, which then ends its children in order.
            start_new_session=True,
            limit=_LONGEST_LINE,
        )

    async def _listen(self, descriptor: int) -> None:
        """Wait for the report; a child that ends without one just closes the pipe."""
        reader = asyncio.StreamReader(limit=_LONGEST_LINE)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        try:
            line = await reader.readline()
            if line:
                self._report = Report.read(line)
                if not self.first_report.done():
                    self.first_report.set_result(self._report)
        finally:
            transport.close()

    async def _pass_on(self, process: Process) -> None:
        assert process.stdout is not None
        while line := await _line(process.stdout):
            text = line.decode(errors="replace").rstrip("\r\n")
            self._last_line = text or self._last_line
            self._show(self.child.name, text)


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line, or as much of it as fits; empty at the end."""
    try:
        return await stream.readuntil(b"\n")
    except asyncio.IncompleteReadError as end:
        return end.partial
    except asyncio.LimitOverrunError as long:
        return await stream.read(long.consumed)


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
