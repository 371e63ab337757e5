"""The HTTP API for programs on an event loop, by aiohttp's client."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, Self, TypeVar, cast

import aiohttp
from yarl import URL

from gobroke_dist.errors import BrokeError
from gobroke_dist.ops import calls
from gobroke_dist.ops.calls import Request, Tries

P = ParamSpec("P")
T = TypeVar("T")


def _awaiting(make: Callable[P, Request[T]]) -> Callable[Concatenate[AsyncAPIClient, P], Awaitable[T]]:
    @functools.wraps(make)
    def method(self: AsyncAPIClient, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self.run(make(*args, **kwargs))

    return cast("Callable[Concatenate[AsyncAPIClient, P], Awaitable[T]]", method)


class AsyncAPIClient:
    """As ``APIClient``, with the same calls to await. Make and use it on one event loop. ::

    async with AsyncAPIClient("http://127.0.0.1:8081", token) as api:
        await api.send({"amount": 3}, to_logic="ledger")
    """

    def __init__(
        self, url: str, token: str, *, timeout: float = 10.0, attempts: int = 3, tls: ssl.SSLContext | None = None
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._timeout = timeout
        self._attempts = attempts
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections; the next call opens one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def run(self, request: Request[T]) -> T:
        """Send a request, and read its answer. Raises as ``APIClient.run``."""
        tries = Tries(request, self._attempts, self._url)
        while True:
            try:
                return tries.answered(*await self._exchange(request))
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                pause = tries.failed(error, sent=not isinstance(error, aiohttp.ClientConnectorError))
            except BrokeError as error:
                pause = tries.refused(error)
            await asyncio.sleep(pause)

    async def _exchange(self, request: Request[T]) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = request.headers(self._token)
        if not request.repeatable:
            headers["Connection"] = "close"
        limit = aiohttp.ClientTimeout(total=self._timeout + request.longer)
        url = URL(self._url + request.target, encoded=True)
        async with self._session.request(
            request.method, url, data=request.body, headers=headers, timeout=limit, ssl=self._tls or True
        ) as response:
            return response.status, await response.read()

    send = _awaiting(calls.send)
    broadcast = _awaiting(calls.broadcast)
    send_to_group = _awaiting(calls.send_to_group)
    ask = _awaiting(calls.ask)
    list_clients = _awaiting(calls.list_clients)
    count_clients = _awaiting(calls.count_clients)
    get_client = _awaiting(calls.get_client)
    disconnect = _awaiting(calls.disconnect)
    revoke = _awaiting(calls.revoke)
    list_group = _awaiting(calls.list_group)
    count_group = _awaiting(calls.count_group)
    join = _awaiting(calls.join)
    leave = _awaiting(calls.leave)
    list_dead = _awaiting(calls.list_dead)
    show_dead = _awaiting(calls.show_dead)
    requeue_dead = _awaiting(calls.requeue_dead)
    discard_dead = _awaiting(calls.discard_dead)
