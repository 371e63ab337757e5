"""The server behind ``UDPEndpoint``: one socket, which remembers nobody who has not proven its address."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Final, cast

from endpoints.datagram import IDENTITY, NOBODY, Cookies, Greeting, Kind, Seal, Sealed, cookie_for, farewell, read
from endpoints.hello import MAX_HELLO, Hello, HelloRefused, read_hello
from endpoints.link import CLOSE_TIMEOUT, Links
from endpoints.udp_connection import UDPConnection
from endpoints.udp_guests import MAX_USED, Guests
from endpoints.udp_path import Address, Path
from gobroke_dist.access.closing import code_of
from gobroke_dist.access.door import Visit
from gobroke_dist.endpoint import Gateway
from gobroke_dist.errors import TooManyConnections
from gobroke_dist.listening import listen_for_datagrams
from gobroke_dist.session import CloseCode, FrameProtocol, Session

log = logging.getLogger(__name__)

_TRANSPORT: Final = "udp"


class UDPServer(asyncio.DatagramProtocol):
    """Listens, and holds the connections.

    Args:
        gateway: the node.
        protocol: how clients speak.
        max_datagram: largest datagram of a connection, in bytes.
    """

    def __init__(self, gateway: Gateway, protocol: FrameProtocol, max_datagram: int) -> None:
        self._gateway = gateway
        self._protocol = protocol
        self._max_datagram = max_datagram
        self._loop = asyncio.get_running_loop()
        self._socket: asyncio.DatagramTransport | None = None
        self._cookies = Cookies(gateway.settings.handshake_timeout, self._loop.time())
        self._links = Links()
        self._guests = Guests(2 * self._cookies.lifetime)
        self._serving: set[asyncio.Task[None]] = set()
        self._listening = self._full = False

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port. Raises ``CouldNotCreateServer``."""
        self._socket, actual = await listen_for_datagrams(self, host, port)
        self._listening = True
        return actual

    async def stop(self) -> None:
        """Let nobody in, close every connection with ``GOING_AWAY``, cut what resists, and close the socket."""
        self._listening = False
        await asyncio.sleep(0)  # who was let in just now is among the links then
        await self._links.close_all()
        if self._serving:
            await asyncio.wait(self._serving, timeout=CLOSE_TIMEOUT + 1)
        left = tuple(self._serving)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def close(self, session: Session) -> None:
        """Wait until a session's connection is gone."""
        await self._links.close(session)

    # --- called by the event loop --------------------------------------------

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Called by the event loop."""
        came = read(data)
        if isinstance(came, Sealed):
            party = self._guests.by_id(came.connection)
            if party is not None:
                party.arrived(came, addr)
            else:
                self._gateway.door.drop("datagram_unknown")
        elif came is not None and addr[1] != 0:  # no host can be answered at port 0
            self._greeted(came, addr)
        else:
            self._gateway.door.drop("datagram_unreadable")

    def error_received(self, exc: Exception) -> None:
        """Called by the event loop: a datagram could not be delivered, to whom is not known."""
        log.debug("a datagram was not delivered: %s", exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop: the socket is gone. That is the end of every connection."""
        if exc is not None:
            log.error("the socket for datagrams broke: %s", exc)
        for link in tuple(self._guests.connections):
            link.cut()

    def pause_writing(self) -> None:
        """Called by the transport."""
        self._full = True
        for link in self._guests.connections:
            link.pause()

    def resume_writing(self) -> None:
        """Called by the transport."""
        self._full = False
        for link in self._guests.connections:
            link.resume()

    # --- coming in -------------------------------------------------------------

    def _greeted(self, greeting: Greeting, address: Address) -> None:
        now = self._loop.time()
        at = f"{address[0]} {address[1]}"
        if greeting.cookie and self._cookies.good(greeting, at, now):
            known = self._guests.by_cookie(greeting.cookie)
            if known is not None:
                known.greeted_again()
            elif self._listening:
                self._let_in(greeting, address, now)
        elif self._listening:
            self._send(cookie_for(greeting, self._cookies.bake(at, greeting.nonce, now)), address)

    def _let_in(self, greeting: Greeting, address: Address, now: float) -> None:
        visit = self._gateway.door.visit(str(address[0]))
        if visit is None:
            return
        try:
            self._require_room(now)
            visit.enter(visit.peer)
            hello = _hello(greeting.hello, visit.peer)
        except TooManyConnections as full:
            self._turn_away(greeting, address, code_of(full), str(full), full.retry_after)
        except HelloRefused as refused:
            self._turn_away(greeting, address, CloseCode.PROTOCOL_ERROR, str(refused))
        else:
            self._serve(greeting, hello, address, visit, now)
            return
        visit.leave()

    def _require_room(self, now: float) -> None:
        """Raises ``TooManyConnections``: one more cookie can't be remembered, and might let in twice."""
        wait = self._guests.wait(now)
        if wait:
            self._gateway.door.drop("cookies_full")
            text = f"{MAX_USED} were let in within {self._cookies.lifetime * 2:g} s"
            raise TooManyConnections("cookies_full", text, retry_after=wait)

    def _turn_away(
        self, greeting: Greeting, address: Address, code: CloseCode, reason: str, retry_after: float = 0.0
    ) -> None:
        words = farewell(code, int(retry_after * 1000), reason)
        self._send(Seal(greeting, NOBODY).pack(Kind.CLOSE, words), address)

    def _serve(self, greeting: Greeting, hello: Hello, address: Address, visit: Visit, now: float) -> None:
        identity = secrets.token_bytes(IDENTITY)
        path = Path(cast(asyncio.DatagramTransport, self._socket), address)
        seal = Seal(greeting, identity)
        link = UDPConnection(self._gateway, self._protocol, hello, path, seal=seal, max_datagram=self._max_datagram)
        if self._full:
            link.pause()
        self._guests.enter(greeting.cookie, identity, link, now)
        task = self._loop.create_task(self._run(link, identity, visit))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _run(self, link: UDPConnection, identity: bytes, visit: Visit) -> None:
        try:
            with self._links.holding(link):
                await link.run()
        except Exception:
            log.exception("a connection failed")
        finally:
            self._guests.leave(identity, self._loop.time())
            visit.leave()

    def _send(self, data: bytes, address: Address) -> None:
        # A full socket drops it: who has no connection asks again, and must not fill the memory.
        if self._socket is not None and not self._full:
            self._socket.sendto(data, address)


def _hello(raw: bytes, address: str) -> Hello:
    if len(raw) > MAX_HELLO:
        raise HelloRefused(f"a hello may have {MAX_HELLO} bytes")
    return read_hello(raw, transport=_TRANSPORT, address=address)
