"""A proxy between a client and a server that spoils connections in the ways in which networks do."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from gobroke_dist.testing.faults.link import Link, reset
from gobroke_dist.testing.faults.toll import BOTH, Counts, Direction, Toll

_CALL_TIMEOUT = 5.0


class Proxy:
    """Listens on a port of its own, or a Unix socket, for as long as the block runs. ::

        async with Proxy("redis://127.0.0.1:6379/0") as proxy:
            settings = Settings(redis_url=proxy.url)
            proxy.faults.latency = 0.1
            proxy.silence("replies")
            ...
            assert proxy.counts.swallowed > 0

    Its calls may be made from any thread.

    Args:
        target: where to: a URL, ``host:port``, or the path of a Unix socket.
        socket: the path of a Unix socket to listen on; None: a free port of 127.0.0.1.
        seed: of all choices.

    Attributes:
        faults: those that have a number; set them.
    """

    def __init__(self, target: str, *, socket: Path | None = None, seed: int = 0) -> None:
        self.faults = Toll()
        self._target = target
        self._socket = socket
        self._seed = seed
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False

    # --- where it is -------------------------------------------------------------

    @property
    def counts(self) -> Counts:
        """What has been done to whom so far."""
        return self.faults.counts

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._links)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """The target's URL, by way of this proxy; in place of a path, one of Redis."""
        if self._socket is not None:
            return f"unix://{self._socket}"
        if _path(self._target) is not None:
            return f"redis://127.0.0.1:{self.port}/0"
        parts = urlsplit(_with_scheme(self._target))
        user, at, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}").geturl()

    # --- faults ------------------------------------------------------------------

    def silence(self, *directions: Direction) -> None:
        """Pass nothing on in these directions, and keep connections open, those that come as well: with one of them a
        half-open connection, with both (the default) a black hole.
        """
        self.faults.silent = frozenset(directions or BOTH)

    def go_deaf(self) -> None:
        """A black hole for the connections that there are. New ones work, as with a peer that was replaced."""
        self._on_loop(self._deafen)

    def reset(self) -> None:
        """Reset every connection. New ones work."""
        self._on_loop(self._reset)

    def refuse(self) -> None:
        """Reset every connection, and each that comes, at once."""
        self.faults.refusing = True
        self._on_loop(self._reset)

    def heal(self) -> None:
        """End all faults. Connections that have lost something are reset: what would follow makes no sense."""
        self.faults.heal()
        self._on_loop(self._reset_lossy)

    # --- running -----------------------------------------------------------------

    async def __aenter__(self) -> Proxy:
        self._loop = asyncio.get_running_loop()
        if self._socket is not None:
            self._server = await asyncio.start_unix_server(self._accept, str(self._socket))
        else:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._server.close()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.faults.refusing or self._closing:
            self.counts.refused += 1
            reset(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):  # the target is not there; this proxy ends
            reset(writer)
        finally:
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts.connections += 1
        number = self.counts.connections
        link = Link(self.faults, f"{self._seed}/{number}", (reader, writer), await self._connect())
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        path = _path(self._target)
        if path is not None:
            return await asyncio.open_unix_connection(path)
        parts = urlsplit(_with_scheme(self._target))
        return await asyncio.open_connection(parts.hostname, parts.port)

    def _deafen(self) -> None:
        for link in self._links:
            link.deaf = frozenset(BOTH)

    def _reset(self) -> None:
        for link in self._links:
            self.counts.resets += 1
            link.reset()

    def _reset_lossy(self) -> None:
        for link in self._links:
            if link.lossy:
                self.counts.resets += 1
                link.reset()

    def _on_loop(self, work: Callable[[], None]) -> None:
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self._loop:
            work()
            return
        done: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(_do, work, done)
        done.result(_CALL_TIMEOUT)


def _do(work: Callable[[], None], done: concurrent.futures.Future[None]) -> None:
    work()
    done.set_result(None)


def _path(target: str) -> str | None:
    """The path of a Unix socket, if the target is one."""
    path = target.removeprefix("unix://")
    return path.partition("?")[0] if path.startswith("/") else None


def _with_scheme(target: str) -> str:
    return target if "://" in target else f"tcp://{target}"
