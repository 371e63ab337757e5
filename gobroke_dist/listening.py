"""Where a server of ours listens, with or without TLS, and why it can't: endpoints, and the HTTP API."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from gobroke_dist.errors import CouldNotCreateServer
from gobroke_dist.settings import Settings

_RECEIVE_BUFFER: Final = 4 << 20  # bytes; the system may give less

Family = Literal["", "api_"]
"""Which settings say how: ``host``, ``port``, ``tls_certificate`` and ``tls_key``, or those that begin with this."""


def server_context(settings: Settings, family: Family = "") -> ssl.SSLContext | None:
    """TLS with the certificate and the key of these settings, 1.2 or newer; None: it is not wanted.

    Raises:
        CouldNotCreateServer: the files can't be used, or one of them is missing.
    """
    certificate: Path | None = getattr(settings, f"{family}tls_certificate")
    key: Path | None = getattr(settings, f"{family}tls_key")
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        names = f"{_variable(family, 'tls_certificate')} and {_variable(family, 'tls_key')}"
        raise CouldNotCreateServer(f"TLS needs both {names}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        raise CouldNotCreateServer(f"{certificate} and {key} can't be used for TLS: {error}") from error
    return context


async def listen(
    protocol: Callable[[], asyncio.Protocol], host: str, port: int, settings: Settings, family: Family = ""
) -> tuple[asyncio.Server, int]:
    """A server that listens, with TLS if the settings say so, and its port. Raises ``CouldNotCreateServer``."""
    tls = server_context(settings, family)
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
        raise CouldNotCreateServer(_why_not(host, port, error, family)) from error
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
        raise CouldNotCreateServer(_why_not(host, port, error, "")) from error
    opened = transport.get_extra_info("socket")
    with suppress(OSError):  # some systems refuse what others cut
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    return transport, int(transport.get_extra_info("sockname")[1])


def url(scheme: str, host: str, port: int, path: str = "") -> str:
    """The address of what listens there."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


def _why_not(host: str, port: int, error: Exception, family: Family) -> str:
    """What to tell about a server that can't listen."""
    its_host, its_port = _variable(family, "host"), _variable(family, "port")
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        what = f"another process listens there; stop it, or set {its_port} to another port (0: any free one)"
    else:
        why = getattr(error, "strerror", None) or error
        what = f"{why}; set {its_host} and {its_port} to an address of this host"
    return f"can't listen on {host}:{port}: {what}"


def _variable(family: Family, name: str) -> str:
    return f"GOBROKE_{family}{name}".upper()
