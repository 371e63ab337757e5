"""The one Redis that all use, over TCP, with the persistence that the product ships with; and what it counts."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from gobroke_dist.embedded import find_server
from gobroke_dist.lifeline import tied

_PATIENCE = 20.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What Redis has done since it started.

    Attributes:
        commands: it carried out, those inside scripts included.
        reads: requests it read from sockets; a pipeline, or a script, is one.
        cpu: seconds.
        memory: bytes it holds for data.
    """

    commands: int
    reads: int
    cpu: float
    memory: int

    def since(self, before: Usage) -> Usage:
        """The difference."""
        return Usage(
            self.commands - before.commands,
            self.reads - before.reads,
            self.cpu - before.cpu,
            self.memory - before.memory,
        )


class Server:
    """A Redis of this run's own.

    Args:
        folder: where its append-only file goes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(host="127.0.0.1", port=self.port)
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0

    def __enter__(self) -> Server:
        command = [
            *(find_server(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            # A rewrite in the middle of one contestant's turn would be counted against it.
            *("--auto-aof-rewrite-percentage", "0", "--maxmemory-policy", "noeviction"),
        ]
        self._process = subprocess.Popen(tied(command), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.client.ping()
                self._spare_memory()
                return self
            except redis.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.02)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE)

    def usage(self) -> Usage:
        """What it has done until now."""
        info: dict[str, Any] = self.client.info("everything")
        self._asked += 1
        counted = {name: value for name, value in info.items() if name.startswith("cmdstat_")}
        commands = sum(value["calls"] for name, value in counted.items() if name != "cmdstat_info")
        cpu = info["used_cpu_user"] + info["used_cpu_sys"]
        return Usage(commands, info["total_reads_processed"] - self._asked, cpu, info["used_memory"])

    def _spare_memory(self) -> None:
        """Redis 7 keeps 30 kB for each command that it has carried out, which would count as the messages' memory."""
        with contextlib.suppress(redis.ResponseError):
            self.client.config_set("latency-tracking", "no")

    def empty(self) -> None:
        """Forget everything."""
        self.client.flushall()

    @property
    def version(self) -> str:
        """Of the server."""
        return str(self.client.info("server")["redis_version"])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
