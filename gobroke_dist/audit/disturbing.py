"""Runs commands that kill or pause workers, while an audit runs."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import Callable, Sequence

from gobroke_dist.audit.record import Disturbed

_TIMEOUT = 60.0


class CommandInvalid(ValueError):
    """A command can't be run: it does not parse, or there is no such program."""


class Disturber:
    """Runs the given commands in turn, one at a time.

    Args:
        commands: each is split as a shell splits words, and runs without a shell.
        every: seconds from the end of one to the start of the next.
        note: takes down what was done, for commands that ended with 0: their time is that of their start.
        now: the record's clock.

    Attributes:
        done: how many ended with 0.
        failures: what went wrong with the others, with counts.

    Raises:
        CommandInvalid: one of them can't be run.
    """

    def __init__(
        self, commands: Sequence[str], *, every: float, note: Callable[[Disturbed], None], now: Callable[[], int]
    ) -> None:
        self.done = 0
        self.failures: Counter[str] = Counter()
        self._commands = [(command, _words(command)) for command in commands]
        self._every = every
        self._note = note
        self._now = now

    async def run(self, over: asyncio.Event) -> None:
        """Go on until the audit is over. A command that runs then is waited for: it must not leave a worker stopped."""
        turn = 0
        while self._commands and not await _within(over, self._every):
            await self._carry_out(*self._commands[turn % len(self._commands)])
            turn += 1

    async def _carry_out(self, command: str, words: Sequence[str]) -> None:
        began = self._now()
        with tempfile.TemporaryFile() as errors:
            try:
                process = await asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=DEVNULL, stderr=errors)
            except OSError as error:
                self._failed(command, f"could not be started: {error.strerror}")
                return
            code = await _ended(process)
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        if code is None:
            self._failed(command, f"took longer than {_TIMEOUT:g} s")
        elif code:
            self._failed(command, f"ended with code {code}{last and f': {last}'}")
        else:
            self.done += 1
            self._note(Disturbed(command, "", began))

    def _failed(self, command: str, how: str) -> None:
        self.failures[f"{command!r} {how}"] += 1


async def _ended(process: Process) -> int | None:
    """Its exit code; None: it had to be killed."""
    try:
        return await asyncio.wait_for(process.wait(), _TIMEOUT)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        return None


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise CommandInvalid(f"{command!r} is no command: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise CommandInvalid(f"{command!r} can't be run: there is no program {words[0] if words else ''!r}")
    return words


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether an event comes in time."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
