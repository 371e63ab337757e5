"""One connection that passes a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct

from gobroke_dist.testing.faults.toll import Direction, Toll

_CHUNK = 1 << 16
_NO_LINGER = struct.pack("ii", 1, 0)


class Link:
    """Passes bytes on, both ways, until either side ends or a fault ends it.

    Args:
        toll: what is done to them.
        seed: of the choices of this connection.
        near: reader and writer to the client.
        far: reader and writer to the server.

    Attributes:
        deaf: directions in which this connection alone passes nothing on.
        lossy: whether something was swallowed: the bytes that would follow make no sense any more.
    """

    def __init__(
        self,
        toll: Toll,
        seed: str,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.deaf: frozenset[Direction] = frozenset()
        self.lossy = False
        self._toll = toll
        self._seed = seed
        self._near_reader, self._near_writer = near
        self._far_reader, self._far_writer = far

    async def run(self) -> None:
        """Pass bytes on. Returns when the connection is over; both sides are closed then."""
        pumps = [
            asyncio.create_task(self._pump("requests", self._near_reader, self._far_writer)),
            asyncio.create_task(self._pump("replies", self._far_reader, self._near_writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._near_writer.close()
            self._far_writer.close()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    def reset(self) -> None:
        """End it as a host does that has lost its memory of it: with RST on TCP."""
        for writer in (self._near_writer, self._far_writer):
            reset(writer)

    async def _pump(self, direction: Direction, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        dice, passed = random.Random(f"{self._seed}/{direction}"), 0  # noqa: S311 - repeatable, not secret
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if direction in self._toll.silent or direction in self.deaf:
                    self._swallow(data)
                    continue
                await self._delay(dice)
                kept = self._kept(direction, data, passed, dice)
                sink.write(data[:kept])
                await sink.drain()
                passed += kept
                self._toll.counts.passed += kept
                if kept < len(data):
                    self._toll.counts.cuts += 1
                    return

    async def _delay(self, dice: random.Random) -> None:
        seconds = self._toll.delay(dice)
        if seconds:
            self._toll.counts.delayed += 1
            await asyncio.sleep(seconds)

    def _kept(self, direction: Direction, data: bytes, passed: int, dice: random.Random) -> int:
        """How many of these bytes are passed on; fewer than all: the connection ends then."""
        if self._toll.cuts(direction, dice):
            return len(data) // 2 if dice.random() < 0.5 else 0
        room = self._toll.room(passed)
        return len(data) if room is None else min(room, len(data))

    def _swallow(self, data: bytes) -> None:
        self.lossy = True
        self._toll.counts.swallowed += len(data)


def reset(writer: asyncio.StreamWriter) -> None:
    """Drop a connection without a farewell."""
    one = writer.get_extra_info("socket")
    if one is not None and one.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
