"""One client's connection over a socket: all that does not depend on how its frames look.

Writing goes straight to the transport: a frame for many clients is the same bytes for each, several frames leave in
one write, and no task waits for a slow client. ::

    session.push ─▶ wake ─▶ _flush ─▶ transport        at most WRITE_AHEAD bytes beyond what the peer reads;
                                                       then the session's outbox fills, and ends it (contract E4)
    transport ─▶ _read ─▶ _process ─▶ gateway.receive
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from endpoints.hello import Hello
from gobroke_dist.access.closing import code_of
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import BrokeError
from gobroke_dist.session import CloseCode, FrameProtocol, Session, SessionState

log = logging.getLogger(__name__)

CLOSE_TIMEOUT: Final = 5.0
"""Seconds from asking for a close to cutting the connection."""

DEAD_TIMEOUT: Final = 0.5
"""Seconds from the goodbye to a peer that does not answer pings to cutting the connection."""

FINISH_TIMEOUT: Final = 10.0
"""Seconds to process what had arrived when a connection ended."""

WRITE_AHEAD: Final = 64 * 1024
"""Bytes that the transport buffers for a peer that reads too slowly; also how much is written at once."""


class Wire(Protocol):
    """What a connection writes to: a socket of its own, or its part of one that many share."""

    def write(self, data: bytes, /) -> None: ...
    def is_closing(self) -> bool: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Link(ABC):
    """The life of one connection, from when it is known who comes to its end.

    Args:
        gateway: the node.
        protocol: how this client speaks.
        hello: who it is, and what it asks for.
        transport: its socket, or what it has of one.
    """

    def __init__(self, gateway: Gateway, protocol: FrameProtocol, hello: Hello, transport: Wire) -> None:
        self.session = gateway.session(hello.client, protocol, self.wake, hello.recovery, hello.asked)
        self.gone = asyncio.Event()
        self._gateway = gateway
        self._protocol = protocol
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._running = self._begun = self._scheduled = self._paused = self._busy = self._said_goodbye = False
        self._heard = self._loop.time()
        self._finish: asyncio.Timeout = asyncio.timeout(None)
        self._heartbeat: asyncio.TimerHandle | None = None
        self._cut: asyncio.TimerHandle | None = None

    # --- what a kind of connection does its own way ----------------------------

    @abstractmethod
    async def _begin(self) -> None:
        """Make ready for frames."""

    @abstractmethod
    async def _read(self) -> None:
        """Process what comes, until the session has a close code or the connection broke."""

    @abstractmethod
    def _pack(self, frame: bytes) -> tuple[bytes, ...]:
        """A frame as it is written, in parts."""

    @abstractmethod
    def _ping(self) -> tuple[bytes, ...]:
        """What a peer that lives answers."""

    @abstractmethod
    def _goodbye(self, code: int, reason: str) -> tuple[bytes, ...]:
        """The last thing that is written."""

    def _quiet_since(self) -> float:
        """Since when a ping is due, counted from ``ping_interval`` later."""
        return self._heard

    # --- one task ------------------------------------------------------------

    async def run(self) -> None:
        """Connect, and receive until the connection is gone. It always ends in ``disconnect``."""
        try:
            async with self._finish:
                self._running = True
                await self._begin()
                self._begun = True
                self.wake()
                self._beat()
                if self.session.close_code is None:
                    await self._connect()
                await self._read()
                await self.gone.wait()
        except TimeoutError:
            log.warning("client %s left more work than fits in %g s", self.session.client.uuid, FINISH_TIMEOUT)
        finally:
            self._running = False
            self._transport.abort()
            self.lost()
            await self._gateway.disconnect(self.session)

    async def _connect(self) -> None:
        try:
            await self._gateway.connect(self.session)
        except BrokeError as error:
            self.session.close(code_of(error), str(error))
        except Exception:
            log.exception("client %s could not be connected", self.session.client.uuid)
            self.session.close(CloseCode.INTERNAL_ERROR)

    async def _process(self, frame: bytes) -> None:
        """One frame of the client."""
        self._busy = True
        try:
            await self._gateway.receive(self.session, frame)
        except Exception:
            log.exception("a frame of client %s could not be processed", self.session.client.uuid)
            self.session.close(CloseCode.INTERNAL_ERROR)
        finally:
            self._busy = False
            self.heard()

    # --- how it ends ---------------------------------------------------------

    def lost(self) -> None:
        """The socket is gone."""
        if self.gone.is_set():
            return
        self.gone.set()
        self.session.closed()
        for timer in (self._heartbeat, self._cut):
            if timer is not None:
                timer.cancel()
        self.no_more()

    def cut(self) -> None:
        """End it without a goodbye."""
        self._transport.abort()

    def no_more(self) -> None:
        """The peer sends nothing any more: what has come is to be processed in time."""
        if self._running and self._finish.when() is None:
            self._finish.reschedule(self._loop.time() + FINISH_TIMEOUT)

    def _say_goodbye(self, code: int, reason: str = "") -> None:
        self._write(*self._goodbye(code, reason))
        self._said_goodbye = True

    def _hang_up(self) -> None:
        """Close the socket after what is written."""
        self._cut_later()
        if not self._transport.is_closing():  # a second close() makes asyncio's TLS deaf to abort()
            self._transport.close()

    def _cut_later(self) -> None:
        if self._cut is None and not self.gone.is_set():
            dead = self.session.close_code is CloseCode.PING_TIMEOUT
            self._cut = self._loop.call_later(DEAD_TIMEOUT if dead else CLOSE_TIMEOUT, self._transport.abort)

    # --- out -----------------------------------------------------------------

    def wake(self) -> None:
        """The session has something to write, or wants to close."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def pause(self) -> None:
        """The transport's buffer is full."""
        self._paused = True

    def resume(self) -> None:
        """The transport's buffer has room again."""
        self._paused = False
        self.wake()

    def _flush(self) -> None:
        self._scheduled = False
        if not self._begun or self._transport.is_closing():
            return
        while not self._paused and (frames := self.session.take(WRITE_AHEAD)):
            self._write(*(part for frame in frames for part in self._pack(frame)))
        if self.session.state is SessionState.CLOSING:
            self._closing()

    def _closing(self) -> None:
        self._cut_later()
        dead = self.session.close_code is CloseCode.PING_TIMEOUT
        if (self.session.pending == 0 or dead) and not self._said_goodbye:
            self._say_goodbye(self.session.close_code or CloseCode.NORMAL, self.session.close_reason)
        if dead:
            self._hang_up()  # nobody is there to answer

    def _write(self, *parts: bytes) -> None:
        if parts and not self._said_goodbye and not self._transport.is_closing():
            self._transport.write(b"".join(parts))

    # --- whether anybody is there ----------------------------------------------

    def heard(self) -> None:
        """Something came from the peer: it lives."""
        self._heard = self._loop.time()

    def _beat(self) -> None:
        """Ping a client after an interval of silence (contract E6); whatever it sends shows that it lives."""
        if self.session.ending:
            return
        interval = self._gateway.settings.ping_interval
        silent = 0.0 if self._busy else self._loop.time() - self._quiet_since()
        if silent < interval:
            self._heartbeat = self._loop.call_later(interval - silent, self._beat)
            return
        self._write(*self._ping())
        self._heartbeat = self._loop.call_later(self._gateway.settings.ping_timeout, self._missed, self._loop.time())

    def _missed(self, since: float) -> None:
        if self._busy or self._heard >= since:  # while its frame waits, nothing is read from it
            self._beat()
        else:
            self.session.close(CloseCode.PING_TIMEOUT, "no answer to a ping")


class Links:
    """The connections of one endpoint."""

    def __init__(self) -> None:
        self._links: dict[str, Link] = {}
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def holding(self, link: Link) -> Iterator[None]:
        """For as long as the block runs, this connection is one of them."""
        self._links[link.session.id] = link
        self._none.clear()
        try:
            yield
        finally:
            del self._links[link.session.id]
            if not self._links:
                self._none.set()

    async def close_all(self) -> None:
        """Close each with ``GOING_AWAY``, and wait until all are gone; for a bounded time."""
        for link in tuple(self._links.values()):
            link.session.close(CloseCode.GOING_AWAY, "this node is shutting down")
        try:
            await asyncio.wait_for(self._none.wait(), CLOSE_TIMEOUT + 1)
        except TimeoutError:
            log.warning("%d connections did not end in time and are cut", len(self._links))

    async def close(self, session: Session) -> None:
        """Wait until a session's connection is gone; after a bounded time it is cut."""
        link = self._links.get(session.id)
        if link is not None:
            try:
                await asyncio.wait_for(link.gone.wait(), CLOSE_TIMEOUT + 1)
            except TimeoutError:
                link.cut()
