"""The same as ``connections``, for an event loop, where each caller bounds its waiting by itself."""

from __future__ import annotations

from typing import Any

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from gobroke_dist.backends.redis.errors import not_the_primary
from gobroke_dist.backends.redis.primary import Primary, check_role
from gobroke_dist.topology import Address, Topology


class ServerConnection(Connection):
    """To a server at a fixed address."""

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        try:
            await super().send_packed_command(*args, **options)
        except RuntimeError as error:  # what uvloop raises when the connection has ended between two commands
            await self.disconnect(nowait=True)
            raise RedisConnectionError(f"the connection to {self.host}:{self.port} has ended") from error

    async def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*args, **options)
        except ResponseError as error:
            if not not_the_primary(error):
                raise
            await self.disconnect(nowait=True)
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
        super().__init__(**options, redis_connect_func=type(self).greet)

    async def read_response(self, *args: Any, **options: Any) -> Any:
        if self._is_old:
            await self.disconnect(nowait=True)
            raise RedisConnectionError("the primary is elsewhere now")
        return await super().read_response(*args, **options)

    async def connect(self) -> None:
        if self._is_old:
            await self.disconnect(nowait=True)
        await super().connect()

    async def _connect(self) -> None:
        self.host, self.port = await find(self._primary)
        with self._primary.doubted_on_error():
            await super()._connect()

    async def greet(self) -> None:
        """After the usual greeting make sure that it is a primary, as the rules for Sentinel's clients have it."""
        with self._primary.doubted_on_error():
            await self.on_connect()
            await self.send_command("ROLE")
            check_role(await self.read_response(), (self.host, self.port))

    @property
    def _is_old(self) -> bool:
        """Whether it is connected, and the primary is known to be elsewhere."""
        return self.is_connected and self._primary.address != (self.host, self.port)


class TLSPrimaryConnection(PrimaryConnection, SSLConnection):
    """The same with TLS."""


def class_for(where: Topology) -> type[Connection]:
    """The class of connections to what a URL names."""
    if where.kind == "server":
        return TLSServerConnection if where.tls else ServerConnection
    return TLSPrimaryConnection if where.tls else PrimaryConnection


async def find(primary: Primary) -> Address:
    """Ask where the primary is. Raises redis-py's ``ConnectionError``: nobody knows."""
    failures: dict[Address, Exception] = {}
    for asked in primary.whom_to_ask():
        connection = (SSLConnection if primary.tls else Connection)(**primary.options_for(asked))
        try:
            with primary.doubted_on_error():
                await connection.connect()
                await connection.send_command(*primary.question)
                return primary.learn(asked, await connection.read_response())
        except (RedisError, OSError) as error:
            failures[asked] = error
        finally:
            await connection.disconnect(nowait=True)
    raise primary.lost(failures)
