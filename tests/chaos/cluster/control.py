"""Orders for the processes of a run, over Unix sockets: a JSON object on a line, answered by another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
Order = Callable[..., Awaitable[object]]

_LONGEST = 1 << 28


@contextlib.asynccontextmanager
async def obeying(path: Path, **orders: Order) -> AsyncIterator[None]:
    """Carry out what comes over a socket at this path, for as long as the block runs; each order names its ``do``."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            order = msgspec.json.decode(await reader.readline())
            said = await orders[order.pop("do")](**order)
            writer.write(msgspec.json.encode(said) + b"\n")
            await writer.drain()
        finally:
            writer.close()

    path.unlink(missing_ok=True)  # of a process that was killed
    async with await asyncio.start_unix_server(answer, path, limit=_LONGEST):
        yield


async def order(path: Path, do: str, *, within: float = 20.0, **arguments: Any) -> Any:
    """Give an order. Returns the answer.

    Raises:
        TimeoutError: it did not come in time.
        ChildProcessError: the process ends, or failed.
    """
    return await order_for(path, do, Any, within=within, **arguments)


async def order_for(path: Path, do: str, kind: type[T], *, within: float = 20.0, **arguments: Any) -> T:
    """The same, with an answer of this type."""
    async with asyncio.timeout(within):
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST)
        except OSError as error:
            raise ChildProcessError(f"nobody takes orders at {path}: {error}") from None
        with contextlib.closing(writer):
            writer.write(msgspec.json.encode({"do": do} | arguments) + b"\n")
            line = await reader.readline()
    if not line:
        raise ChildProcessError(f"{path.name} did not answer {do!r}")
    return msgspec.json.decode(line, type=kind)
