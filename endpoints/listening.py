"""What endpoints with a server have in common: where it listens, why it can't, and its end."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from endpoints.tls import server_context
from gobroke_dist.errors import CouldNotCreateServer
from gobroke_dist.session import Session
from gobroke_dist.settings import Settings

_RECEIVE_BUFFER: Final = 4 << 20  # bytes; the system may give less


class Server(Protocol):
    """Listens, and holds the connections."""

    async def stop(self) -> None: ...
    async def close(self, session: Session) -> None: ...


class Served:
    """The base of an endpoint with a server. ``start`` is the endpoint's own."""

    _server: Server | None = None
    _addresses: tuple[str, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._addresses

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None

    async def close(self, session: Session) -> None:
        if self._server is not None:
            await self._server.close(session)


def place(settings: Settings, host: str, port: int) -> tuple[str, int]:
    """The host and port to listen on: an endpoint's own, unless the settings replace them."""
    return settings.host or host, port if settings.port is None else settings.port


def url(scheme: str, host: str, port: int, path: str = "") -> str:
    """The address of what listens there."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


async def listen(
    protocol: Callable[[], asyncio.Protocol], host: str, port: int, settings: Settings
) -> tuple[asyncio.Server, int]:
    """A server that listens, with TLS if the settings say so, and its port. Raises ``CouldNotCreateServer``."""
    tls = server_context(settings)
    try:
        server = await asyncio.get_running_loop().create_server(
            protocol,
            host,
            port,
            backlog=1024,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else settings.handshake_timeout,
        )
    except (OSError, UnicodeError, OverflowError) as error:
        raise CouldNotCreateServer(_why_not(host, port, error)) from error
    return server, int(server.sockets[0].getsockname()[1])


async def listen_for_datagrams(
    protocol: asyncio.DatagramProtocol, host: str, port: int
) -> tuple[asyncio.DatagramTransport, int]:
    """A socket that datagrams come to, and its port. Raises ``CouldNotCreateServer``."""
    try:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: protocol, local_addr=(host, port)
        )
    except (OSError, UnicodeError, OverflowError) as error:
        raise CouldNotCreateServer(_why_not(host, port, error)) from error
    opened = transport.get_extra_info("socket")
    with suppress(OSError):  # some systems refuse what others cut
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return transport, int(transport.get_extra_info("sockname")[1])


def _why_not(host: str, port: int, error: Exception) -> str:
    """What to tell about a server that can't listen."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        what = "another process listens there; stop it, or set GOBROKE_PORT to another port (0: any free one)"
    else:
        what = (
            f"{getattr(error, 'strerror', None) or error}; set GOBROKE_HOST and GOBROKE_PORT to an address of this host"
        )
    return f"can't listen on {host}:{port}: {what}"
