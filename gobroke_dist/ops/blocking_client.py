"""The HTTP API for programs that are not asynchronous, by the standard library's HTTP client."""

from __future__ import annotations

import functools
import http.client
import ssl
import threading
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, Self, TypeVar, cast
from urllib.parse import urlsplit

from gobroke_dist.errors import BrokeError
from gobroke_dist.ops import calls
from gobroke_dist.ops.calls import Request, Tries

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(make: Callable[P, Request[T]]) -> Callable[Concatenate[APIClient, P], T]:
    @functools.wraps(make)
    def method(self: APIClient, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(make(*args, **kwargs))

    return cast("Callable[Concatenate[APIClient, P], T]", method)


class APIClient:
    """Calls the HTTP API, over one connection for each thread that is kept. ::

        with APIClient("http://127.0.0.1:8081", token) as api:
            api.send({"amount": 3}, to_logic="ledger")

    Args:
        url: where it listens; ``http://`` or ``https://``.
        token: one of its tokens.
        timeout: seconds that connecting, and each answer, may take.
        attempts: how often a call is sent at most; only what can't be done twice by that is sent again.
        tls: whom to believe when it is ``https://``, as ``ssl.create_default_context`` makes it; None: the system's
            authorities.
    """

    def __init__(
        self, url: str, token: str, *, timeout: float = 10.0, attempts: int = 3, tls: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the address of the HTTP API starts with http:// or https://, and names a host")
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._path = parts.path.rstrip("/")
        self._token = token
        self._timeout = timeout
        self._attempts = attempts
        self._tls = tls
        self._local = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close this thread's connection; the next call opens one."""
        connection: http.client.HTTPConnection | None = self._local.__dict__.pop("connection", None)
        if connection is not None:
            connection.close()

    def run(self, request: Request[T]) -> T:
        """Send a request, and read its answer.

        Raises:
            Unavailable: there is no answer, or the cluster can't take it now.
            BrokeError: what the API answered, as the class that it names.
        """
        tries = Tries(request, self._attempts, self._host)
        while True:
            sent = False
            try:
                connection = self._connected(request)
                sent = True
                connection.request(
                    request.method, self._path + request.target, request.body, request.headers(self._token)
                )
                response = connection.getresponse()
                return tries.answered(response.status, response.read())
            except (OSError, http.client.HTTPException) as error:
                self.close()
                pause = tries.failed(error, sent=sent)
            except BrokeError as error:
                pause = tries.refused(error)
            time.sleep(pause)

    def _connected(self, request: Request[T]) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = self._local.__dict__.get("connection")
        timeout = self._timeout + request.longer
        if connection is None or (connection.sock is not None and not request.repeatable):
            # One that was kept may be closed by now, which looks like a lost answer.
            self.close()
            connection = self._local.connection = self._new(timeout)
        if connection.sock is None:
            connection.connect()
        connection.sock.settimeout(timeout)
        return connection

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        if self._secure:
            return http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    send = _blocking(calls.send)
    broadcast = _blocking(calls.broadcast)
    send_to_group = _blocking(calls.send_to_group)
    ask = _blocking(calls.ask)
    list_clients = _blocking(calls.list_clients)
    count_clients = _blocking(calls.count_clients)
    get_client = _blocking(calls.get_client)
    disconnect = _blocking(calls.disconnect)
    revoke = _blocking(calls.revoke)
    list_group = _blocking(calls.list_group)
    count_group = _blocking(calls.count_group)
    join = _blocking(calls.join)
    leave = _blocking(calls.leave)
    list_dead = _blocking(calls.list_dead)
    show_dead = _blocking(calls.show_dead)
    requeue_dead = _blocking(calls.requeue_dead)
    discard_dead = _blocking(calls.discard_dead)
