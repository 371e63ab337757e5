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
PATIENCE = 10.0  # seconds in which a worker has to be found at work
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
    """Sends SIGKILL to a worker of a local cluster, the busiest if it can be, and waits for its replacement.

    The kill must not be in vain: a worker that has messages in its hands is stopped, and killed if it still has them
    then; otherwise it goes on, and another one, or another moment, is waited for.

    Args:
        cluster: whose worker.
        members: its processes; known before, so that the kill comes at the moment that was meant.
    """

    def __init__(self, cluster: Cluster, members: Sequence[Member]) -> None:
        self.killing = Killing()
        self._cluster = cluster
        self._workers = {member.pid: member for member in members if member.role == "worker"}

    async def __call__(self, busiest: str) -> None:
        likely = self._workers.get(int(busiest.rpartition(":")[2] or 0)) or next(iter(self._workers.values()))
        caught = await self._catch_at_work([likely, *(one for one in self._workers.values() if one is not likely)])
        self.killing.aimed = caught is not None
        victim = caught or likely
        started = time.monotonic()
        await self._cluster.kill(victim.pid)
        self.killing.victim = f"{victim.node} (pid {victim.pid})"
        self.killing.how = "SIGKILL; the process is gone"
        members = await self._cluster.until_complete(without=victim.pid)
        self.killing.seconds_to_replace = time.monotonic() - started
        new = [member for member in members if member.role == "worker" and member.pid not in self._workers]
        self.killing.replaced_by = ", ".join(f"{member.node} (pid {member.pid})" for member in new)

    async def _catch_at_work(self, workers: Sequence[Member]) -> Member | None:
        """A worker that is stopped with messages in its hands; None: none was found in time."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for one in workers:
                if await self._cluster.messages_held(one.node) and await self._stopped_with_messages(one):
                    return one
        return None

    async def _stopped_with_messages(self, worker: Member) -> bool:
        os.kill(worker.pid, signal.SIGSTOP)
        await asyncio.sleep(BLINK)  # what it had sent to Redis has arrived by then
        if await self._cluster.messages_held(worker.node):
            return True
        os.kill(worker.pid, signal.SIGCONT)
        return False


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
