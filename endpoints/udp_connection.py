"""One client over UDP: sealed datagrams between the server's socket and a session.

::

    UDPServer ─▶ arrived ─▶ at most READ_AHEAD bytes wait, and what is beyond is lost ─▶ _read ─▶ _process
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from typing import Final

from endpoints.datagram import OVERHEAD, Kind, Seal, Sealed, farewell
from endpoints.framing import is_text
from endpoints.hello import Hello
from endpoints.link import Link
from endpoints.udp_path import Address, Ended, Path
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import FrameTooLarge
from gobroke_dist.session import CloseCode, FrameProtocol

READ_AHEAD: Final = 64 * 1024
"""Bytes of a client, with those around each frame, that wait for the frame that is being processed."""

_FIRST_REPEAT: Final = 0.1  # seconds; then twice as long each time
_PINGS: Final = 4


class UDPConnection(Link):
    """The life of one connection, from when its client has proven its address to its end.

    Args:
        gateway: the node.
        protocol: how this client speaks.
        hello: who it is, and what it asks for.
        path: where it is.
        seal: its keys.
        max_datagram: largest datagram, either way.
    """

    def __init__(
        self, gateway: Gateway, protocol: FrameProtocol, hello: Hello, path: Path, *, seal: Seal, max_datagram: int
    ) -> None:
        super().__init__(gateway, protocol, hello, path)
        self._path = path
        self._seal = seal
        self._room = max_datagram - OVERHEAD
        self._largest = min(self._room, gateway.settings.max_frame)
        self._latest = 0  # number of the client's newest datagram
        self._said = self._heard
        self._first: bytes | None = None  # the welcome, mostly: kept while the client may greet again
        self._began = False
        self._moving: tuple[Address, int] | None = None
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._more = asyncio.Event()
        self._end: tuple[CloseCode, str] | None = None  # comes after what is in the inbox
        self._left = False
        self._last_words: bytes | None = None
        self._repeats: list[asyncio.TimerHandle] = []
        path.link = self

    # --- in ------------------------------------------------------------------

    def arrived(self, sealed: Sealed, address: Address) -> None:
        """A datagram says that it is of this connection. One that is not newer than all before, or that the client did
        not make, is nothing.
        """
        if sealed.number <= self._latest:
            self._gateway.door.drop("datagram_old")
            return
        if not self._seal.opens(sealed):
            self._gateway.door.drop("datagram_forged")
            return
        self._latest = sealed.number
        self.heard()
        if sealed.kind is Kind.PROOF:
            self._move(sealed.body, address)
            return
        if address != self._path.address:
            self._challenge(address)
        if sealed.kind is Kind.CLOSE:
            self._leaves(int.from_bytes(sealed.body[:2], "big"))
        elif sealed.body:
            self._put(sealed.body)

    def greeted_again(self) -> None:
        """The client has not seen that it was let in."""
        self._path.write(self._seal.pack(Kind.ACCEPT, number=0))
        for kept in (self._first, self._last_words):
            if kept is not None:
                self._path.write(kept)

    def settled(self) -> None:
        """The client can't greet again."""
        self._first, self._began = None, True

    def remains(self) -> Ended:
        """What is to be kept of it, as it has ended."""
        said = self.session.close_code or CloseCode.GOING_AWAY
        last_words = self._last_words or self._seal.pack(Kind.CLOSE, farewell(said, 0, self.session.close_reason))
        return Ended(self._path.again(), self._seal, self._latest, last_words)

    def _put(self, frame: bytes) -> None:
        if self._end is not None or self.session.ending:
            return
        if len(frame) > self._largest:
            self._ends(CloseCode.TOO_BIG, f"a frame may have {self._largest} bytes")
        elif self._inbox_bytes + len(frame) + OVERHEAD <= READ_AHEAD or not self._inbox:
            self._inbox.append(frame)
            self._inbox_bytes += len(frame) + OVERHEAD
            self._more.set()
        else:
            self._gateway.door.drop("inbox_full")

    def _leaves(self, code: int) -> None:
        self._left = True
        if self._said_goodbye:
            self.cut()
        else:
            self._ends(CloseCode.NORMAL if code == CloseCode.NORMAL else CloseCode.GOING_AWAY, "closed by the client")

    def _ends(self, code: CloseCode, reason: str) -> None:
        self._end = self._end or (code, reason)
        self._more.set()
        self.no_more()

    # --- the client's address --------------------------------------------------

    def _challenge(self, address: Address) -> None:
        """Ask whether it is there, in a datagram that is no larger than what came from there."""
        if self._moving is None or self._moving[0] != address:
            self._moving = address, secrets.randbits(64)
        self._path.send(self._seal.pack(Kind.CHALLENGE, number=self._moving[1]), address)

    def _move(self, body: bytes, address: Address) -> None:
        if self._moving is not None and self._moving == (address, int.from_bytes(body, "big")):
            self._path.address = address
            self._moving = None

    # --- one task ------------------------------------------------------------

    async def _begin(self) -> None:
        self._path.write(self._seal.pack(Kind.ACCEPT, number=0))

    async def _read(self) -> None:
        while self.session.close_code is None and (frame := await self._next()) is not None:
            if not self._protocol.binary and not is_text(frame):
                self.session.close(CloseCode.INVALID_TEXT, "a frame must be UTF-8")
            else:
                await self._process(frame)
        if self._end is not None:
            self.session.close(*self._end)

    async def _next(self) -> bytes | None:
        while not self._inbox:
            if self._end is not None or self.gone.is_set() or self.session.ending:
                return None
            self._more.clear()
            await self._more.wait()
        frame = self._inbox.popleft()
        self._inbox_bytes -= len(frame) + OVERHEAD
        return frame

    # --- how it ends ---------------------------------------------------------

    def lost(self) -> None:
        super().lost()
        for timer in self._repeats:
            timer.cancel()
        self._more.set()

    def _goodbye(self, code: int, reason: str) -> tuple[bytes, ...]:
        self._last_words = self._seal.pack(Kind.CLOSE, farewell(code, self.session.retry_after or 0, reason))
        return (self._last_words,)

    def _say_goodbye(self, code: int, reason: str = "") -> None:
        super()._say_goodbye(code, reason)
        if self._left:
            self._hang_up()
        else:
            self._repeat_goodbye(_FIRST_REPEAT)

    def _repeat_goodbye(self, after: float) -> None:
        """Until the client says goodbye as well, or it is cut."""

        def again() -> None:
            if self._last_words is not None:
                self._path.write(self._last_words)
            self._repeat_goodbye(after * 2)

        self._repeats = [self._loop.call_later(after, again)]

    # --- out -----------------------------------------------------------------

    def _pack(self, frame: bytes) -> tuple[bytes, ...]:
        if len(frame) > self._room:
            error = FrameTooLarge(len(frame), self._room)
            told = self._protocol.encode_error(error, None)
            self._gateway.door.drop(error.code)
            return () if told is None else self._pack(told)
        packed = self._seal.pack(Kind.FRAME, frame)
        if not self._began:
            self._first, self._began = packed, True
        return (packed,)

    def _write(self, *parts: bytes) -> None:
        self._said = self._loop.time()
        if not self._said_goodbye:
            for part in parts:
                self._path.write(part)

    # --- whether anybody is there ----------------------------------------------

    def _ping(self) -> tuple[bytes, ...]:
        """The first of several: the network may lose one."""
        since = self._loop.time()
        for timer in self._repeats:
            timer.cancel()
        step = self._gateway.settings.ping_timeout / _PINGS
        self._repeats = [self._loop.call_later(n * step, self._ping_again, since) for n in range(1, _PINGS)]
        return (self._seal.pack(Kind.FRAME),)

    def _ping_again(self, since: float) -> None:
        if self._heard < since and not self.session.ending:
            self._write(self._seal.pack(Kind.FRAME))

    def _quiet_since(self) -> float:
        # A client can't ask whether this node is there: it hears something at least once in an interval.
        return min(self._heard, self._said)
