"""A Redis that can be frozen, killed and filled, and the proxy in front of it, each a process."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import redis

from gobroke_dist.embedded import find_server
from gobroke_dist.lifeline import tied

_TIMEOUT = 30.0


class RedisServer:
    """One redis-server with an append-only file, on a socket.

    Args:
        folder: where its files are.
        program: the server's path; None: as the embedded Redis finds it.
        append_only: whether it keeps what it holds.
    """

    def __init__(self, folder: Path, *, program: str | None = None, append_only: bool = True) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.restarts = 0
        self._program = program or find_server()
        self._append_only = append_only
        self._process: subprocess.Popen[bytes] | None = None
        self.client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=60, protocol=2)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, and wait until it has read its file and answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            *(self._program, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder)),
            *("--appendonly", "yes" if self._append_only else "no", "--appendfsync", "everysec", "--save", ""),
            *("--maxmemory-policy", "noeviction", "--logfile", str(self.folder / "redis.log")),
        ]
        self._process = subprocess.Popen(tied(command), stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _TIMEOUT
        while True:
            try:
                self.client.ping()
            except redis.RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    async def freeze(self, seconds: float) -> float:
        """Stop the process for a while. Returns how long a command had to wait for its answer, in seconds."""
        began = time.monotonic()
        self._signal(signal.SIGSTOP)
        asking = asyncio.create_task(asyncio.to_thread(self.client.ping))
        await asyncio.sleep(seconds)
        self._signal(signal.SIGCONT)
        await asking
        return time.monotonic() - began

    def kill_and_restart(self, *, after: float = 0.0) -> bool:
        """SIGKILL, then start again from the file. Returns whether it is a new server that still holds data.

        Args:
            after: seconds for which there is none.
        """
        run, keys = self._identity()
        self._kill()
        time.sleep(after)
        self.start()
        self.restarts += 1
        new_run, new_keys = self._identity()
        return run != new_run and (new_keys > 0 or keys == 0)

    def kill_and_empty(self, *, after: float = 0.0) -> bool:
        """The same, with its files deleted. Returns whether it had held data, and is a new server."""
        run, keys = self._identity()
        self._kill()
        for one in self.folder.glob("appendonly*"):
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        time.sleep(after)
        self.start()
        self.restarts += 1
        return run != self._identity()[0] and keys > 0

    async def fill(self, seconds: float) -> int:
        """Have no memory left for a while. Returns how many commands were refused meanwhile.

        Redis 6 counts what a script was refused as any other error.
        """
        before = self._refused()
        self.client.config_set("maxmemory", 1)
        await asyncio.sleep(seconds)
        refused = self._refused() - before
        self.client.config_set("maxmemory", 0)
        return refused

    def stop(self) -> None:
        """End it."""
        self.client.close()
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(_TIMEOUT)

    def version(self) -> str:
        return str(self.client.info("server")["redis_version"])

    def _kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(_TIMEOUT)

    def _identity(self) -> tuple[str, int]:
        return str(self.client.info("server")["run_id"]), int(self.client.dbsize())

    def _refused(self) -> int:
        stats: dict[str, Any] = self.client.info("errorstats")
        return sum(int(stats.get(f"errorstat_{kind}", {}).get("count", 0)) for kind in ("OOM", "ERR"))

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class ProxyProcess:
    """``tests.chaos.proxy`` in a process of its own."""

    def __init__(self, target: Path, seed: int) -> None:
        command = [sys.executable, "-m", "tests.chaos.proxy", str(target), str(seed)]
        self._process = subprocess.Popen(tied(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.url = f"redis://127.0.0.1:{int(self._process.stdout.readline())}/0"

    def order(self, **what: float) -> dict[str, int]:
        """Change something. Returns the counts."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        self._process.stdin.flush()
        counts: dict[str, int] = json.loads(self._process.stdout.readline())
        return counts

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
