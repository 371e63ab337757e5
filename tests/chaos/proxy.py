"""A TCP proxy in front of Redis that can cut, delay and hold back. Also a program of its own, for its own core.

``python -m tests.chaos.proxy SOCKET SEED`` prints its port; then each line of standard input is a JSON object with
what to change (``{"cut": 0.05}``), answered by a line with the counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from dataclasses import asdict, dataclass


@dataclass(slots=True)
class Counts:
    """What was done to whom."""

    connections: int = 0
    passed: int = 0
    requests_cut: int = 0
    replies_cut: int = 0
    held: int = 0
    refused: int = 0


class Proxy:
    """Passes bytes between TCP clients and a Unix socket.

    Args:
        target: the path of Redis' socket.
        seed: of the choices which request or reply is cut; each connection has its own.

    Attributes:
        cut: the chance that a connection is closed instead of passing a request, or a reply, on; half of the time
            after one half of it.
        latency: seconds by which everything is late.
        down: close every connection, and take no new one.
        counts: what has happened so far.
    """

    def __init__(self, target: str, seed: int = 0) -> None:
        self.cut = 0.0
        self.latency = 0.0
        self.down = False
        self.counts = Counts()
        self._target = target
        self._seed = seed
        self._server: asyncio.Server | None = None
        self._connections: dict[int, asyncio.Task[None]] = {}
        self._held: dict[int, asyncio.Event] = {}

    async def start(self) -> int:
        """Listen. Returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._connections.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def go_down(self) -> None:
        """Close every connection, and take no new one until ``down`` is false again."""
        self.down = True
        for task in self._connections.values():
            task.cancel()

    def hold(self, share: float) -> None:
        """Hold back what a share of the present connections sends from now on. New connections work.

        It arrives when ``release`` is called, even if its sender gave up long ago: what a network does that heals.
        """
        dice = random.Random(f"{self._seed}/hold/{self.counts.connections}")
        for number in self._connections:
            if dice.random() < share:
                self._held.setdefault(number, asyncio.Event())

    def release(self) -> None:
        """Let what was held arrive."""
        for event in self._held.values():
            event.set()
        self._held.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            self.counts.refused += 1
            writer.close()
            return
        self.counts.connections += 1
        number = self.counts.connections
        task = asyncio.current_task()
        assert task is not None
        self._connections[number] = task
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._connected(number, reader, writer)
        finally:
            writer.close()
            self._connections.pop(number, None)
            self._held.pop(number, None)

    async def _connected(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(self._target)
        requests = asyncio.create_task(self._pump(number, reader, far_writer, kind="requests"))
        replies = asyncio.create_task(self._pump(number, far_reader, writer, kind="replies"))
        try:
            await asyncio.wait((requests, replies), return_when=asyncio.FIRST_COMPLETED)
            if number in self._held:
                await requests  # what was held still arrives
        finally:
            for task in (requests, replies):
                task.cancel()
            far_writer.close()

    async def _pump(self, number: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, kind: str) -> None:
        dice = random.Random(f"{self._seed}/{number}/{kind}")
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                if self.cut and dice.random() < self.cut:
                    self._count_cut(kind)
                    if dice.random() < 0.5:
                        sink.write(data[: len(data) // 2])
                    return
                await self._delayed(number, kind)
                sink.write(data)
                await sink.drain()
                self.counts.passed += 1

    async def _delayed(self, number: int, kind: str) -> None:
        if self.latency:
            await asyncio.sleep(self.latency)
        event = self._held.get(number) if kind == "requests" else None
        if event is not None:
            self.counts.held += 1
            await event.wait()

    def _count_cut(self, kind: str) -> None:
        if kind == "requests":
            self.counts.requests_cut += 1
        else:
            self.counts.replies_cut += 1

    def obey(self, order: dict[str, float]) -> None:
        """Change what the object names: ``cut``, ``latency``, ``down`` (0 or 1), ``hold`` (a share), ``release``."""
        self.cut = order.get("cut", self.cut)
        self.latency = order.get("latency", self.latency)
        if "down" in order:
            self.go_down() if order["down"] else setattr(self, "down", False)
        if "hold" in order:
            self.hold(order["hold"])
        if "release" in order:
            self.release()


async def main(target: str, seed: int) -> None:
    """Serve until standard input ends."""
    proxy = Proxy(target, seed)
    print(await proxy.start(), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        proxy.obey(json.loads(line))
        print(json.dumps(asdict(proxy.counts)), flush=True)
    await proxy.stop()


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.install()
    except ImportError:
        pass
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
