"""The roles as things to run: one for as long as a block runs, all of them together, or until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from gobroke_dist import scheduler
from gobroke_dist.embedded import EmbeddedRedis
from gobroke_dist.endpoint import Endpoint
from gobroke_dist.logic import Operations
from gobroke_dist.node import Node
from gobroke_dist.pauses import spare_what_stays
from gobroke_dist.runtime import Runtime
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.lifecycle import start_worker, stop_worker

Ready = Callable[[tuple[str, ...]], None]
"""Called once, with the addresses, when a role does its work."""


class Declared(scheduler.Declared, Protocol):
    """An application object, as far as the roles need it."""

    @property
    def settings(self) -> Settings: ...
    @property
    def endpoints(self) -> tuple[Endpoint, ...]: ...


@contextlib.asynccontextmanager
async def redis_of(broke: Declared) -> AsyncIterator[None]:
    """Redis for as long as the block runs: the one configured, else a server of our own."""
    if broke.settings.redis_url is not None:
        yield
        return
    server = EmbeddedRedis(broke.settings.data_dir)
    await asyncio.to_thread(server.start)
    try:
        yield
    finally:
        await asyncio.to_thread(server.stop)


@contextlib.asynccontextmanager
async def edge(broke: Declared) -> AsyncIterator[Node]:
    """One edge, for as long as the block runs."""
    runtime = Runtime(broke.application, broke.settings, "edge", broke.broker)
    node = Node(runtime, broke.endpoints)
    runtime.serve(broke.application.logics.values())
    try:
        await node.start()
        yield node
    finally:
        await node.stop()


@contextlib.asynccontextmanager
async def worker(broke: Declared) -> AsyncIterator[None]:
    """One worker's threads, for as long as the block runs."""
    settings = broke.settings
    started = await asyncio.to_thread(start_worker, broke.broker, threads=settings.threads)
    try:
        yield
    finally:
        await asyncio.to_thread(stop_worker, started, timeout=settings.drain_timeout)


@contextlib.asynccontextmanager
async def together(broke: Declared) -> AsyncIterator[Operations]:
    """Every role, for as long as the block runs. Gives the edge's calls."""
    async with redis_of(broke), edge(broke) as node, worker(broke), scheduler.firing(broke, broke.settings):
        yield node.runtime.operations


async def until_signal() -> None:
    """Return at the first SIGTERM or SIGINT. The second ends the process at once, with 128 and the signal's number."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, os._exit, 128 + number)


async def run_edge(broke: Declared, *, ready: Ready | None = None) -> None:
    """Run one edge until SIGTERM or SIGINT; then its clients are told, and what runs is finished.

    Raises:
        RedisUnavailable: Redis can't be reached.
        CouldNotCreateServer: an address can't be used.
    """
    async with edge(broke) as node:
        spare_what_stays()
        if ready is not None:
            ready(node.addresses)
        await until_signal()


async def run_together(broke: Declared) -> None:
    """Run every role until SIGTERM or SIGINT."""
    async with together(broke):
        spare_what_stays()
        await until_signal()
