"""Frames from a socket, one after another, and no faster than they are taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from endpoints.framing import FrameReader, FrameRefused
from endpoints.link import WRITE_AHEAD, Link

READ_AHEAD: Final = 64 * 1024
"""Bytes that are read beyond what is being processed."""

_TURN: Final = 64
"""How many frames are taken before others have their turn."""


class FrameStream(asyncio.Protocol):
    """One socket.

    Args:
        reader: finds the frames.
        accepted: called when the socket is there.

    Attributes:
        transport: the socket.
        ended: the peer sends nothing any more.
        lost: the socket is gone.
        link: what is told of what happens; None: it is not known yet who comes.
    """

    transport: asyncio.Transport

    def __init__(self, reader: FrameReader, accepted: Callable[[FrameStream], None]) -> None:
        self.reader = reader
        self.ended = self.lost = False
        self.link: Link | None = None
        self._accepted = accepted
        self._more = asyncio.Event()
        self._taken = 0
        self._full = self._deaf = False
        self._refusal: FrameRefused | None = None

    async def next(self) -> bytes | None:
        """The next frame that is not empty; None: there are no more.

        Raises:
            FrameRefused: the stream can't be read any further.
        """
        while True:
            if self._refusal is not None:
                raise self._refusal
            frame = self.reader.next()
            if frame is not None:
                self._taken += 1
                if self._taken % _TURN == 0:
                    await asyncio.sleep(0)
                if frame:
                    return frame
            elif self.ended:
                return None
            else:
                self._resume_reading()
                self._more.clear()
                await self._more.wait()

    def refuse(self, refusal: FrameRefused) -> None:
        """Let ``next`` raise this."""
        self._refusal = refusal
        self._more.set()

    def ignore(self) -> None:
        """Whatever still comes is thrown away."""
        self._deaf = True
        self._resume_reading()

    def _resume_reading(self) -> None:
        if self._full and not self.transport.is_closing():
            self._full = False
            self.transport.resume_reading()

    # --- called by the event loop --------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=WRITE_AHEAD)
        self._accepted(self)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        if self.link is not None:
            self.link.heard()
        if self._deaf:
            return
        self.reader.feed(data)
        if self.reader.waiting > READ_AHEAD and not self._full:
            self._full = True
            self.transport.pause_reading()
        self._more.set()

    def eof_received(self) -> bool:
        """Called by the event loop. True: the peer may still read what it has asked for."""
        self.ended = True
        self._more.set()
        if self.link is not None:
            self.link.no_more()
        return self.transport.can_write_eof()  # not over TLS

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop."""
        self.ended = self.lost = True
        self._more.set()
        if self.link is not None:
            self.link.lost()

    def pause_writing(self) -> None:
        """Called by the transport."""
        if self.link is not None:
            self.link.pause()

    def resume_writing(self) -> None:
        """Called by the transport."""
        if self.link is not None:
            self.link.resume()
