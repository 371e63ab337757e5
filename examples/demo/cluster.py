"""The chat on this machine: two edges, two workers, two schedulers and a Redis, each a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from redis.asyncio import Redis

from examples.demo.waiting import until
from gobroke_dist.backends.redis.connection import connect
from gobroke_dist.keys import QueueKeys
from gobroke_dist.lifeline import tied
from gobroke_dist.settings import effective

APP = "examples.chat.app:broke"
ROLES = {"edge": 2, "worker": 2, "scheduler": 2}
READY_TIMEOUT = 40.0  # seconds
STOP_TIMEOUT = 40.0


class ClusterFailed(Exception):
    """It did not start; the text holds its last words."""


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the cluster."""

    role: str
    node: str
    pid: int
    addresses: tuple[str, ...]


class Cluster:
    """A running ``gobroke run``.

    Args:
        data_dir: where its Redis keeps its data.
        process: the supervisor, whose children the roles are.
    """

    def __init__(self, data_dir: Path, process: Process) -> None:
        self.data_dir = data_dir
        self.process = process

    async def members(self) -> list[Member]:
        """The processes that hold a lease, as ``gobroke status`` tells; none before Redis answers."""
        status = await asyncio.create_subprocess_exec(
            *_gobroke("status", APP, "--data-dir", str(self.data_dir), "--json"), stdout=PIPE, stderr=PIPE
        )
        answer, _ = await asyncio.wait_for(status.communicate(), READY_TIMEOUT)
        if status.returncode != 0:
            return []
        found = [
            Member(one["role"], one["node"], one["pid"], tuple(one["addresses"]))
            for one in json.loads(answer)["members"]
        ]
        return sorted(found, key=lambda member: (list(ROLES).index(member.role), member.node))

    async def until_complete(self, *, without: int = 0) -> list[Member]:
        """Wait until every role has its processes, and return them. ``without`` is a pid that does not count.

        Raises:
            ClusterFailed: the cluster ended, or took too long.
        """
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                while self.process.returncode is None:
                    members = [member for member in await self.members() if member.pid != without]
                    counts = {role: sum(member.role == role for member in members) for role in ROLES}
                    if counts == ROLES and all(member.addresses for member in members if member.role == "edge"):
                        return members
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise ClusterFailed(f"the cluster was not complete within {READY_TIMEOUT:g} s") from None
        raise ClusterFailed("the cluster ended before it was complete")

    async def messages_held(self, worker: str) -> int:
        """How many messages of the chat's WORKER are in the hands of a worker process."""
        async with self._queue() as (redis, keys):
            return await redis.scard(keys.acks(worker))

    async def messages_waiting(self) -> int:
        """How many messages of the chat's WORKER are not done yet."""
        async with self._queue() as (redis, keys):
            return await redis.hlen(keys.messages)

    @contextlib.asynccontextmanager
    async def _queue(self) -> AsyncIterator[tuple[Redis, QueueKeys]]:
        settings = effective(redis_url=f"unix://{self.data_dir.absolute() / 'redis.sock'}")
        redis = connect(settings)
        try:
            yield redis, QueueKeys(settings.prefix, "say")
        finally:
            await redis.aclose()

    async def kill(self, pid: int) -> None:
        """SIGKILL one process; returns when it is gone. Raises ``ClusterFailed`` if it will not go."""
        os.kill(pid, signal.SIGKILL)
        if not await until(lambda: not _exists(pid), within=10):
            raise ClusterFailed(f"process {pid} is still there after SIGKILL")


@contextlib.asynccontextmanager
async def running(*, port: int, data_dir: Path | None = None, show: Callable[[str], None]) -> AsyncIterator[Cluster]:
    """The cluster, for as long as the block runs.

    Args:
        port: of the first edge, the second one's is the next; 0: any free ones.
        data_dir: what is said is kept there; None: nothing is kept.
        show: gets each line that a process prints.

    Raises:
        ClusterFailed: it ended while it was starting; what it printed last says why.
    """
    # Not below the current folder: the path of a Unix socket has about a hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="gobroke-demo-", ignore_cleanup_errors=True) as folder:
        data = data_dir or Path(folder)
        process = await asyncio.create_subprocess_exec(
            *tied(_run(data, port), ends_with=signal.SIGTERM),  # nothing is left if we are killed ourselves
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            limit=1 << 20,  # bytes in a line
            start_new_session=True,  # Ctrl+C is for us; we end it in order
            env={"GOBROKE_WORKER_LEASE": "2"} | os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        last_words: deque[str] = deque(maxlen=10)
        printing = asyncio.create_task(_pass_on(process, last_words, show))
        try:
            yield Cluster(data, process)
        except ClusterFailed as failed:
            raise ClusterFailed("\n".join((str(failed), *last_words))) from None
        finally:
            await _end(process)
            await asyncio.wait_for(printing, STOP_TIMEOUT)


def _run(data_dir: Path, port: int) -> tuple[str, ...]:
    counts = (word for role, count in ROLES.items() for word in (f"--{role}s", str(count)))
    return _gobroke("run", APP, "--data-dir", str(data_dir), "--port", str(port), *counts)


def _gobroke(*words: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "gobroke_dist.cli", *words)


async def _pass_on(process: Process, last_words: deque[str], show: Callable[[str], None]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        text = line.decode(errors="replace").rstrip()
        last_words.append(text)
        show(text)


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
