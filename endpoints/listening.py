"""What endpoints with a server have in common: which place it is to listen at, and its end."""

from __future__ import annotations

from typing import Protocol

from gobroke_dist.session import Session
from gobroke_dist.settings import Settings


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
