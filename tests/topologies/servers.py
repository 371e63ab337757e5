"""Real servers in every arrangement: alone, with TLS, watched by Sentinels, and as a Cluster."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from gobroke_dist.embedded import find_server
from gobroke_dist.lifeline import tied
from tests.eventually import eventually_sync

HOST = "127.0.0.1"
MASTER = "main"
PASSWORD = "of-the-servers"
SENTINEL_PASSWORD = "of-the-sentinels"
SLOTS = 16384
_BUS = 10_000  # what Redis adds to the port of a node for the Cluster's own port


def free_port() -> int:
    """A port that is free, and so is the one for its bus if it is a node of a Cluster."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind((HOST, port))
            other.bind((HOST, port + _BUS))
            return port


class Server:
    """One process of redis-server.

    Args:
        folder: where its files are.
        options: for its command line.
        password: that it asks for.
        tls: files for TLS: authority, certificate, key; it takes nothing else then.
        sentinel: whether it is a Sentinel.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        password: str | None = None,
        tls: tuple[Path, Path, Path] | None = None,
        sentinel: bool = False,
    ) -> None:
        self.port = free_port()
        self._folder = folder / str(self.port)
        self._options = options
        self._password = password
        self._tls = tls
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None
        secured: dict[str, Any] = {"password": password}
        if tls is not None:
            files = zip(("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"), map(str, tls), strict=True)
            secured |= {"ssl": True, **dict(files)}
        self.client = redis.Redis(host=HOST, port=self.port, protocol=2, socket_timeout=5, **secured)

    def start(self) -> None:
        """Start it, and wait until it answers. Skips the test if this program can't do what it is to do."""
        self._folder.mkdir()
        file = self._folder / "redis.conf"
        file.write_text("\n".join(self._lines()) + "\n")
        command = [find_server(), str(file), *(["--sentinel"] if self._sentinel else [])]
        output = (self._folder / "redis.log").open("wb")
        with output:
            self._process = subprocess.Popen(tied(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        eventually_sync(self._answers, within=20)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def freeze(self) -> None:
        """SIGSTOP: its connections stay, and nothing answers, as when its machine is gone."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, if it runs."""
        self.client.close()
        if self._process is not None:
            self.kill()

    def _lines(self) -> Iterator[str]:
        yield f"dir {self._folder}"
        yield f"bind {HOST}"
        if self._tls is None:
            yield f"port {self.port}"
        else:
            authority, certificate, key = self._tls
            yield from ("port 0", f"tls-port {self.port}", f"tls-ca-cert-file {authority}")
            yield from (f"tls-cert-file {certificate}", f"tls-key-file {key}")
        if self._password is not None:
            yield f"requirepass {self._password}"
        if not self._sentinel:
            yield from ('save ""', "repl-diskless-sync yes", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1")
        yield from self._options

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            said = (self._folder / "redis.log").read_text()
            if "Bad directive" in said or "TLS" in said or "sentinel" in said.lower():
                pytest.skip(f"{find_server()} can't do this; it says: {' '.join(said.split())[-300:]}")
            raise RuntimeError(said)
        with contextlib.suppress(redis.ConnectionError):
            return bool(self.client.ping())
        return False


@contextlib.contextmanager
def running(servers: Sequence[Server]) -> Iterator[None]:
    """All of them, for as long as the block runs."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.stop()


def bring_in_step(primary: Server, replicas: Sequence[Server]) -> None:
    """Return at a moment at which the replicas have all that the primary has acknowledged, for it to end just then.

    Replication is asynchronous, and without that a few acknowledged writes may be lost, which nobody promises. So the
    primary holds back writes for that moment; whoever sends goes on sending.
    """
    assert primary.client.dbsize() > 0, "this is not the server that is in use"
    primary.client.client_pause(10_000, all=False)
    reached = int(primary.client.info("replication")["master_repl_offset"])
    for replica in replicas:
        eventually_sync(lambda replica=replica: int(replica.client.info("replication")["slave_repl_offset"]) >= reached)


class Watched:
    """A primary with two replicas, and three Sentinels that watch them; these have another password."""

    def __init__(self, folder: Path) -> None:
        known = f"masterauth {PASSWORD}"
        self.primary = Server(folder, known, password=PASSWORD)
        following = f"replicaof {HOST} {self.primary.port}"
        self.replicas = [Server(folder, known, following, password=PASSWORD) for _ in range(2)]
        orders = [
            f"sentinel monitor {MASTER} {HOST} {self.primary.port} 2",
            f"sentinel auth-pass {MASTER} {PASSWORD}",
            f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
            f"sentinel down-after-milliseconds {MASTER} 500",
            f"sentinel failover-timeout {MASTER} 4000",
        ]
        self.sentinels = [Server(folder, *orders, password=SENTINEL_PASSWORD, sentinel=True) for _ in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"{HOST}:{one.port}" for one in self.sentinels)
        return f"redis+sentinel://:{PASSWORD}@{hosts}/0?master={MASTER}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All of them, when they know each other."""
        with running([self.primary, *self.replicas]):
            eventually_sync(lambda: self.primary.client.info("replication")["connected_slaves"] == 2, within=20)
            with running(self.sentinels):
                eventually_sync(lambda: all(map(self._knows_all, self.sentinels)), within=20)
                yield

    def fail(self) -> None:
        """Kill the primary. Its Sentinels make one of the replicas the next."""
        bring_in_step(self.primary, self.replicas)
        self.primary.kill()

    def failed_over(self) -> bool:
        """Whether another is the primary."""
        return any(one.client.role()[0] == b"master" for one in self.replicas)

    def _knows_all(self, sentinel: Server) -> bool:
        said: Any = sentinel.client.execute_command("SENTINEL", "MASTER", MASTER)
        state = dict(zip(said[::2], said[1::2], strict=True))
        return (int(state[b"num-other-sentinels"]), int(state[b"num-slaves"])) == (2, 2)


class Sharded:
    """A Cluster.

    Args:
        folder: where its files are.
        replicas: how many replicas the node has that owns the first third of the slots.
    """

    def __init__(self, folder: Path, *, replicas: int = 0) -> None:
        options = ("cluster-enabled yes", "cluster-node-timeout 800", "cluster-replica-validity-factor 0")
        self.primaries = [Server(folder, *options) for _ in range(3)]
        self.replicas = [Server(folder, *options) for _ in range(replicas)]

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(f'{HOST}:{one.port}' for one in self.primaries)}"

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """All of them, when they agree."""
        everybody = [*self.primaries, *self.replicas]
        with running(everybody):
            share = SLOTS // 3 + 1
            for number, one in enumerate(self.primaries):
                one.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                slots = range(number * share, min((number + 1) * share, SLOTS))
                one.client.execute_command("CLUSTER", "ADDSLOTS", *slots)
            for other in everybody[1:]:
                everybody[0].client.execute_command("CLUSTER", "MEET", HOST, other.port)
            eventually_sync(lambda: all(self._nodes(one) == len(everybody) for one in everybody), within=20)
            first = self.primaries[0].client.execute_command("CLUSTER", "MYID")
            for replica in self.replicas:
                replica.client.execute_command("CLUSTER", "REPLICATE", first)
            eventually_sync(lambda: all(map(self._is_whole, everybody)), within=20)
            yield

    def fail(self) -> None:
        """Kill the first primary. Its replicas choose the next among them."""
        bring_in_step(self.primaries[0], self.replicas)
        self.primaries[0].kill()

    def hang(self) -> None:
        """Freeze the first primary instead."""
        bring_in_step(self.primaries[0], self.replicas)
        self.primaries[0].freeze()

    def failed_over(self) -> bool:
        """Whether another has its slots."""
        return any(one.client.role()[0] == b"master" for one in self.replicas)

    def _nodes(self, one: Server) -> int:
        return int(self._info(one)["cluster_known_nodes"])

    def _is_whole(self, one: Server) -> bool:
        slots: Any = one.client.execute_command("CLUSTER", "SLOTS")
        owners = next((nodes for first, _, *nodes in slots if first == 0), ())
        replicas = self.primaries[0].client.info("replication")["connected_slaves"]
        return (
            self._info(one)["cluster_state"] == "ok"
            and len(owners) == 1 + len(self.replicas)
            and replicas == len(self.replicas)
        )

    def _info(self, one: Server) -> dict[str, str]:
        # In two words, so that the client library hands over what the server said, whatever its version.
        said: Any = one.client.execute_command("CLUSTER", "INFO")
        return dict(line.split(":", 1) for line in said.decode().splitlines() if ":" in line)
