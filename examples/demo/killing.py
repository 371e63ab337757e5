"""Killing a worker in the middle of a run: a process of ours, or whatever a command kills."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import time
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Sequence
from dataclasses import dataclass

from examples.demo.cluster import Cluster, Member

COMMAND_TIMEOUT = 60.0  # seconds
PATIENCE = 30.0  # seconds in which a worker has to be found at work
BLINK = 0.02


@dataclass(slots=True)
class Killing:
    """What was killed, and what came of it. Empty until it has happened.

    ``aimed`` says that the victim was seen with messages in its hands, so that a kill in vain is a defect.
    """

    victim: str = ""
    how: str = ""
    replaced_by: str = ""
    seconds_to_replace: float | None = None
    aimed: bool = False


class ProcessKiller:
    """Sends SIGKILL to the busiest worker of a local cluster, and waits for its replacement.

    The kill must not be in vain: the worker is stopped first, and killed only if it has messages in its hands;
    otherwise it goes on for a moment, and is stopped again.

    Args:
        cluster: whose worker.
        members: its processes; known before, so that the kill comes at the moment that was meant.
    """

    def __init__(self, cluster: Cluster, members: Sequence[Member]) -> None:
        self.killing = Killing()
        self._cluster = cluster
        self._workers = {member.pid: member for member in members if member.role == "worker"}

    async def __call__(self, busiest: str) -> None:
        victim = self._workers.get(int(busiest.rpartition(":")[2] or 0)) or next(iter(self._workers.values()))
        await self._catch_at_work(victim)
        self.killing.aimed = True
        started = time.monotonic()
        await self._cluster.kill(victim.pid)
        self.killing.victim = f"{victim.node} (pid {victim.pid})"
        self.killing.how = "SIGKILL; the process is gone"
        members = await self._cluster.until_complete(without=victim.pid)
        self.killing.seconds_to_replace = time.monotonic() - started
        new = [member for member in members if member.role == "worker" and member.pid not in self._workers]
        self.killing.replaced_by = ", ".join(f"{member.node} (pid {member.pid})" for member in new)

    async def _catch_at_work(self, victim: Member) -> None:
        async with asyncio.timeout(PATIENCE):
            while True:
                os.kill(victim.pid, signal.SIGSTOP)
                await asyncio.sleep(BLINK)  # what it had sent to Redis has arrived by then
                if await self._cluster.messages_held(victim.node):
                    return
                os.kill(victim.pid, signal.SIGCONT)
                await asyncio.sleep(BLINK)


class CommandKiller:
    """Runs a command, such as ``docker kill worker-1``."""

    def __init__(self, command: str) -> None:
        self.killing = Killing()
        self._command = command

    async def __call__(self, busiest: str) -> None:
        process = await asyncio.create_subprocess_exec(*shlex.split(self._command), stdout=PIPE, stderr=STDOUT)
        answer, _ = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT)
        said = answer.decode(errors="replace").strip()
        self.killing.victim = self._command
        self.killing.how = f"exit code {process.returncode}" + (f": {said}" if process.returncode else "")
