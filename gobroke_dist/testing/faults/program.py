"""A real process in the hands of a test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from gobroke_dist.lifeline import tied

_CHUNK = 1 << 16


class Program:
    """Starts a program, and leaves nothing of it behind. ::

        async with Program([sys.executable, "-m", "gobroke_dist.cli", "edge", "app:broke"]) as edge:
            url = (await edge.until(r"(ws://\\S+)"))[1]
            with edge.frozen():
                ...
            edge.kill()

    Args:
        command: the program and its arguments.
        environment: more of it than this process has.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        self.output = ""
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._news = asyncio.Event()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended; one that is frozen runs."""
        return self._process.returncode is None

    async def until(self, pattern: str, *, timeout: float = 30.0) -> re.Match[str]:
        """Wait until it has printed something that matches.

        Raises:
            TimeoutError: it has not.
            ChildProcessError: it has ended without; the text has its output.
        """
        async with asyncio.timeout(timeout):
            while (found := re.search(pattern, self.output)) is None:
                if self._reading.done():
                    raise ChildProcessError(f"{self._command[0]} has ended without {pattern!r}:\n{self.output}")
                self._news.clear()
                await self._news.wait()
        return found

    async def ended(self, *, timeout: float = 30.0) -> int:
        """Wait until it has ended. Returns its exit code, or minus the signal's number. Raises ``TimeoutError``."""
        async with asyncio.timeout(timeout):
            await self._reading
            return await self._process.wait()

    def terminate(self) -> None:
        """SIGTERM: it may finish what it does."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: it may not."""
        self._send(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it does nothing, and its connections stay open."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on, and takes what has come meanwhile for new."""
        self._send(signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """``freeze``, and ``thaw`` at the end of the block."""
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    async def __aenter__(self) -> Program:
        self._process = await asyncio.create_subprocess_exec(
            *tied(self._command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        await self._reading
        await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while data := await self._process.stdout.read(_CHUNK):
            self.output += data.decode(errors="replace")
            self._news.set()
        self._news.set()

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
