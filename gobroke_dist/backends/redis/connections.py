"""Connections that notice when their server is not, or no longer, the one that takes writes.

``ServerConnection`` is closed when the server says so, and goes to the same address when it is used again: a name in
front of Redis may lead to another server by then. ``PrimaryConnection`` asks first where the primary is. Both are
redis-py's in all else, so a kept connection, a pool and a client are used as ever. Their counterparts for an event loop
are in ``async_connections``.
"""

from __future__ import annotations

import socket
from typing import Any

from redis.connection import Connection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from gobroke_dist.backends.redis.errors import not_the_primary
from gobroke_dist.backends.redis.primary import Primary, check_role
from gobroke_dist.topology import Address, Topology


class ServerConnection(Connection):
    """To a server at a fixed address."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, redis_connect_func=type(self)._greet_in_time)

    def _greet_in_time(self) -> None:
        """Who only waits has no read timeout, and a server that stands still lets itself be connected to."""
        connected: Any = self._sock
        connected.settimeout(self.socket_connect_timeout)
        self.greet()
        connected.settimeout(self.socket_timeout)

    def greet(self) -> None:
        """What is said first."""
        self.on_connect()

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except ResponseError as error:
            if not not_the_primary(error):
                raise
            self.disconnect()
            raise RedisConnectionError(f"{self.host}:{self.port} takes no writes: {error}") from error


class TLSServerConnection(ServerConnection, SSLConnection):
    """The same with TLS."""


class PrimaryConnection(ServerConnection):
    """To the primary, wherever it is when this connects; it is left when it is known to be elsewhere.

    Args:
        primary: tells where it is.
        options: redis-py's.
    """

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        self._primary = primary
        super().__init__(**options)

    def connect(self) -> None:
        if self._is_old:
            self.disconnect()
        super().connect()

    def can_read(self, timeout: float = 0) -> bool:
        if self._is_old:
            self.disconnect()
            raise RedisConnectionError("the primary is elsewhere now")
        return super().can_read(timeout)

    def _connect(self) -> socket.socket:
        self.host, self.port = find(self._primary)
        with self._primary.doubted_on_error():
            connected: socket.socket = super()._connect()
        return connected

    def greet(self) -> None:
        """After the usual greeting make sure that it is a primary, as the rules for Sentinel's clients have it."""
        with self._primary.doubted_on_error():
            super().greet()
            self.send_command("ROLE")
            check_role(self.read_response(), (self.host, self.port))

    @property
    def _is_old(self) -> bool:
        """Whether it is connected, and the primary is known to be elsewhere."""
        return self._sock is not None and self._primary.address != (self.host, self.port)


class TLSPrimaryConnection(PrimaryConnection, SSLConnection):
    """The same with TLS."""


def class_for(where: Topology) -> type[Connection]:
    """The class of connections to what a URL names."""
    if where.kind == "server":
        return TLSServerConnection if where.tls else ServerConnection
    return TLSPrimaryConnection if where.tls else PrimaryConnection


def find(primary: Primary) -> Address:
    """Ask where the primary is. Raises redis-py's ``ConnectionError``: nobody knows."""
    failures: dict[Address, Exception] = {}
    for asked in primary.whom_to_ask():
        connection = (SSLConnection if primary.tls else Connection)(**primary.options_for(asked))
        try:
            with primary.doubted_on_error():
                connection.connect()
                connection.send_command(*primary.question)
                return primary.learn(asked, connection.read_response())
        except (RedisError, OSError) as error:
            failures[asked] = error
        finally:
            connection.disconnect()
    raise primary.lost(failures)
