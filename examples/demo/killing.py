"""Killing a worker in the middle of a run: a process of ours, or whatever a command kills."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from examples.demo.cluster import Cluster, Member

COMMAND_TIMEOUT = 60.0  # seconds
STANDSTILL = 1.0  # seconds at most in which work piles up; half of the lease that the demo sets
PATIENCE = 10.0  # seconds in which a worker has to take messages
MOMENT = 0.01  # seconds for which it goes on, to take some
BLINK = 0.02  # seconds in which what it had sent to Redis has arrived


class Rush(Protocol):
    """Everybody says ten things at once, when whoever kills is ready for that."""

    @property
    def busiest(self) -> str:
        """The worker process that is busiest, as ``host:pid``."""

    @property
    def enough(self) -> int:
        """How many messages wait when the rush has arrived."""

    def begin(self) -> None: ...

    async def until_under_way(self) -> None:
        """Wait until the workers are in the middle of it, as far as can be heard."""


@dataclass(slots=True)
class Killing:
    """What was killed, and what came of it. Empty until it has happened.

    ``aimed`` says that it was to be a worker with messages in its hands, so that a kill in vain is a defect.
    """

    victim: str = ""
    how: str = ""
    replaced_by: str = ""
    seconds_to_replace: float | None = None
    aimed: bool = False


class ProcessKiller:
    """Sends SIGKILL to a worker of a local cluster, the busiest if it can be, and waits for its replacement.

    The kill must not be in vain. To look for a worker that is at work is to race against the workers: on a slow
    machine all is done before the look. So all of them are stopped before the rush begins, and it piles up in Redis.
    One that has messages in its hands by then is killed; else one goes on, for a moment at a time, until it has.

    Args:
        cluster: whose worker.
        members: its processes; known before, so that the kill comes at the moment that was meant.
    """

    def __init__(self, cluster: Cluster, members: Sequence[Member]) -> None:
        self.killing = Killing(aimed=True)
        self._cluster = cluster
        self._workers = {member.pid: member for member in members if member.role == "worker"}

    async def __call__(self, rush: Rush) -> None:
        workers = self._busiest_first(rush.busiest)
        with self._standing_still():
            rush.begin()
            await self._until_waiting(rush.enough)
            victim = await self._with_messages(workers)
            started = time.monotonic()
            await self._cluster.kill(victim.pid)
        self.killing.victim = f"{victim.node} (pid {victim.pid})"
        self.killing.how = "SIGKILL; the process is gone"
        members = await self._cluster.until_complete(without=victim.pid)
        self.killing.seconds_to_replace = time.monotonic() - started
        new = [member for member in members if member.role == "worker" and member.pid not in self._workers]
        self.killing.replaced_by = ", ".join(f"{member.node} (pid {member.pid})" for member in new)

    def _busiest_first(self, busiest: str) -> Sequence[Member]:
        pid = int(busiest.rpartition(":")[2] or 0)
        return sorted(self._workers.values(), key=lambda member: member.pid != pid)

    @contextlib.contextmanager
    def _standing_still(self) -> Iterator[None]:
        """Stop all workers; those that still live go on afterwards."""
        try:
            for pid in self._workers:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in self._workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def _until_waiting(self, enough: int) -> None:
        deadline = time.monotonic() + STANDSTILL
        while await self._cluster.messages_waiting() < enough and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(MOMENT)

    async def _with_messages(self, workers: Sequence[Member]) -> Member:
        """A worker that is stopped with messages in its hands; if the first takes none in time, it without any."""
        await asyncio.sleep(BLINK)
        for one in workers:
            if await self._cluster.messages_held(one.node):
                return one
        deadline = time.monotonic() + PATIENCE
        while not await self._takes_messages(workers[0]) and time.monotonic() < deadline:
            pass
        return workers[0]

    async def _takes_messages(self, worker: Member) -> int:
        os.kill(worker.pid, signal.SIGCONT)
        await asyncio.sleep(MOMENT)
        os.kill(worker.pid, signal.SIGSTOP)
        await asyncio.sleep(BLINK)
        return await self._cluster.messages_held(worker.node)


class CommandKiller:
    """Runs a command, such as ``docker kill worker-1``."""

    def __init__(self, command: str) -> None:
        self.killing = Killing()
        self._command = command

    async def __call__(self, rush: Rush) -> None:
        rush.begin()
        await rush.until_under_way()
        process = await asyncio.create_subprocess_exec(*shlex.split(self._command), stdout=PIPE, stderr=STDOUT)
        answer, _ = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT)
        said = answer.decode(errors="replace").strip()
        self.killing.victim = self._command
        self.killing.how = f"exit code {process.returncode}" + (f": {said}" if process.returncode else "")
