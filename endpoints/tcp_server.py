"""The server behind ``TCPEndpoint``: it listens, hears who comes, and holds the connections."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from endpoints.framing import FrameRefused, Framing
from endpoints.hello import MAX_HELLO, Hello, HelloRefused, nobody, read_hello
from endpoints.link import CLOSE_TIMEOUT, Links
from endpoints.tcp_connection import TCPConnection
from endpoints.tcp_stream import FrameStream
from gobroke_dist.access.closing import code_of
from gobroke_dist.access.door import Visit
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import TooManyConnections
from gobroke_dist.listening import listen
from gobroke_dist.session import CloseCode, FrameProtocol, Session

log = logging.getLogger(__name__)

_TRANSPORT: Final = "tcp"


class TCPServer:
    """Listens, and holds the connections.

    Args:
        gateway: the node.
        framing: how frames are put into the stream.
        protocol: how clients speak.
    """

    def __init__(self, gateway: Gateway, framing: Framing, protocol: FrameProtocol) -> None:
        self._gateway = gateway
        self._framing = framing
        self._protocol = protocol
        self._listener: asyncio.Server | None = None
        self._links = Links()
        self._serving: dict[asyncio.Task[None], FrameStream] = {}

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port. Raises ``CouldNotCreateServer``."""
        self._listener, actual = await listen(
            lambda: FrameStream(self._framing.reader(MAX_HELLO), self._accept), host, port, self._gateway.settings
        )
        return actual

    async def stop(self) -> None:
        """Close the listener, then every connection with ``GOING_AWAY``; what resists is cut."""
        if self._listener is not None:
            self._listener.close()
        for stream in self._serving.values():
            if stream.link is None:
                stream.refuse(FrameRefused(CloseCode.GOING_AWAY, "this node is shutting down"))
        await self._links.close_all()
        if self._serving:
            await asyncio.wait(self._serving, timeout=CLOSE_TIMEOUT + 1)
        left = tuple(self._serving)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def close(self, session: Session) -> None:
        """Wait until a session's connection is gone."""
        await self._links.close(session)

    # --- connections ---------------------------------------------------------

    def _accept(self, stream: FrameStream) -> None:
        listening = self._listener is not None and self._listener.is_serving()
        peer = stream.transport.get_extra_info("peername")
        visit = self._gateway.door.visit(peer[0] if peer else "") if listening else None
        if visit is None:
            stream.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(stream, visit))
        self._serving[task] = stream
        task.add_done_callback(self._serving.pop)

    async def _serve(self, stream: FrameStream, visit: Visit) -> None:
        try:
            hello = await self._hello(stream, visit)
            if hello is not None:
                await self._run(stream, hello)
        except FrameRefused as refused:
            await self._run(stream, nobody(_TRANSPORT), refused)
        except Exception:
            log.exception("a connection failed")
        finally:
            stream.transport.abort()
            visit.leave()

    async def _hello(self, stream: FrameStream, visit: Visit) -> Hello | None:
        """Who comes; None: nobody, and nobody is there to be told. Raises ``FrameRefused``."""
        try:
            async with asyncio.timeout(self._gateway.settings.handshake_timeout):
                frame = await stream.next()
            if frame is None:
                return None
            visit.enter(visit.peer)
            return read_hello(frame, transport=_TRANSPORT, address=visit.peer)
        except TimeoutError:
            self._gateway.door.too_late()
            return None
        except HelloRefused as refused:
            raise FrameRefused(CloseCode.PROTOCOL_ERROR, str(refused)) from None
        except TooManyConnections as full:
            raise FrameRefused(code_of(full), str(full)) from None

    async def _run(self, stream: FrameStream, hello: Hello, refused: FrameRefused | None = None) -> None:
        stream.reader.max_size = self._gateway.settings.max_frame
        link = TCPConnection(self._gateway, self._protocol, self._framing, hello, stream)
        if refused is not None:
            link.session.close(refused.code, str(refused))
        with self._links.holding(link):
            await link.run()
