"""A connection to an edge over WebSocket, for asyncio programs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias
from uuid import uuid4

import aiohttp

from gobroke_dist.connection.events import (
    BufferFull,
    ConnectionFailure,
    ConnectionState,
    Ended,
    Event,
    Gap,
    Receipt,
    Received,
)
from gobroke_dist.connection.machine import (
    MAX_DELIVERY,
    Dial,
    Effect,
    FetchToken,
    HangUp,
    Machine,
    Options,
    Settle,
    Tell,
    Write,
)

TokenProvider: TypeAlias = Callable[[], Awaitable[str]]
Names: TypeAlias = str | Iterable[str]

_GOODBYE: Final = 1000
_GOODBYE_TIMEOUT: Final = 5.0
_HOPELESS: Final = (400, 403, 426)
_UNREAD: Final = 1000


class Connection:
    """A client that stays connected, from any edge to any other. ::

        async with Connection("ws://localhost:8080/ws", client="ann") as connection:
            await connection.send("hello", to_logic="echo")
            async for event in connection:
                ...

    Iterating gives the events, once each. Up to 1,000 wait to be taken; then nothing more is read from the socket, no
    reply and no receipt either, until one is taken.

    Args:
        url: an edge's, or a load balancer's.
        client: the uuid; left out, the token or the server names the client.
        token: called before each connection, and before a token with an ``exp`` (JWT) runs out.
        metadata: of the client.
        heartbeat: seconds between pings; a connection that does not answer within half of it is lost.
        options: see there.
    """

    def __init__(
        self,
        url: str,
        *,
        client: str | None = None,
        token: TokenProvider | None = None,
        metadata: Mapping[str, str] | None = None,
        heartbeat: float = 20.0,
        options: Options | None = None,
    ) -> None:
        if client is None and token is None:
            client = str(uuid4())
        self._machine = Machine(options or Options(), client=client, chance=random.random)
        self._url = url
        self._provider = token
        self._metadata = dict(metadata or {})
        self._heartbeat = heartbeat
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._results: dict[str, asyncio.Future[Any]] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._outbox = _Outbox()
        self._dialling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    @property
    def client(self) -> str | None:
        """The client's uuid; None until the server has named it."""
        return self._machine.client

    @property
    def state(self) -> ConnectionState:
        """Where it is in its life."""
        return self._machine.state

    # --- life ----------------------------------------------------------------

    async def __aenter__(self) -> Connection:
        self._http = aiohttp.ClientSession()
        self._machine.start(self._now())
        self._perform()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Say goodbye (1000), and end. What still waits raises ``ConnectionEnded``."""
        self._machine.close()
        self._perform()
        self._room.set()
        if self._timer is not None:
            self._timer.cancel()
        tasks = tuple(self._tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_GOODBYE_TIMEOUT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._http.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while not (self._over and self._events.empty()):
            event = await self._events.get()
            if self._events.qsize() < _UNREAD:
                self._room.set()
            yield event
            if isinstance(event, Ended):
                return

    # --- what the application does -------------------------------------------

    async def send(
        self,
        data: Any,
        *,
        to_logic: Names = (),
        to_client: Names = (),
        to_group: Names = (),
        metadata: Mapping[str, Any] | None = None,
        keep: float = 60.0,
    ) -> str:
        """Send at most once. Without a connection it waits ``keep`` seconds for one. Returns the message's uuid.

        Raises:
            BufferFull, ConnectionEnded, ValueError: as ``Machine.put``.
        """
        frame: dict[str, Any] = {"data": data}
        for name, value in (("to_logic", to_logic), ("to_client", to_client), ("to_group", to_group)):
            if value:
                frame[name] = value if isinstance(value, str) else list(value)
        if metadata:
            frame["metadata"] = dict(metadata)
        uuid = str(uuid4())
        self._put(frame, uuid, "send", keep)
        return uuid

    async def request(self, data: Any, *, to_logic: str, timeout: float = 10.0) -> Any:
        """Ask a logic, and return its answer. It is asked at most once.

        Raises:
            MessageRefused: the server says why. TimedOut: no answer. ConnectionLost: it broke meanwhile.
            BufferFull, ConnectionEnded, ValueError: as ``Machine.put``.
        """
        frame = {"data": data, "to_logic": to_logic, "ask": timeout}
        answer = await self._outcome(frame, "request", timeout)
        return Received(answer, 0).data

    async def deliver(
        self,
        data: Any,
        *,
        to_logic: str,
        until: Literal["accepted", "done"] = "done",
        timeout: float = 60.0,
        uuid: str | None = None,
    ) -> Receipt:
        """Send to one WORKER logic until there is a receipt, again with the same uuid, so that it counts once.

        A receipt ``done`` that came while there was no connection is lost: then this ends in ``TimedOut`` with
        ``accepted``.

        Args:
            data: any JSON.
            to_logic: the WORKER logic.
            until: what to wait for.
            timeout: seconds, at most 240: a server knows a uuid for 5 minutes.
            uuid: the message's; left out, a new one.

        Raises:
            MessageRefused: for good. TimedOut: no receipt.
            BufferFull, ConnectionEnded, ValueError: as ``Machine.put``.
        """
        if not 0 < timeout <= MAX_DELIVERY:
            raise ValueError(f"timeout is {timeout:g}; it must be above 0 and at most {MAX_DELIVERY:g} s")
        frame = {"data": data, "to_logic": to_logic, "receipt": True}
        receipt: Receipt = await self._outcome(frame, until, timeout, uuid)
        return receipt

    async def answer(self, request: Received, data: Any) -> None:
        """Answer a request of somebody else. Raises ``ConnectionLost`` if the connection that brought it is gone."""
        if request.reply_to is None:
            raise ValueError("this message asks for no answer")
        self._machine.answer(request.reply_to, data, request.dialled)
        self._perform()

    async def come_back(self, gap: Gap) -> bool:
        """Connect again for the messages that were dropped.

        All messages since the gap follow, in order, behind an ``Opened`` with ``recovered``, which is False if they
        can't be had any more. Those that wait behind the gap to be taken are thrown away for it: called before another
        event is taken, each comes once. Messages that were sent and are not written yet may be lost.

        Returns: False if they can't be had: the client does not ``recover``, or it was told so since, or has ended.
        """
        if not self._machine.come_back(gap, self._now()):
            return False
        for _ in range(self._events.qsize()):
            event = self._events.get_nowait()
            if not isinstance(event, Received | Gap):
                self._events.put_nowait(event)
        if self._events.qsize() < _UNREAD:
            self._room.set()
        self._perform()
        return True

    # --- inside --------------------------------------------------------------

    def _put(self, frame: dict[str, Any], uuid: str, kind: str, timeout: float) -> None:
        options = self._machine.options
        if self._outbox.count >= options.max_buffered or self._outbox.size >= options.max_buffered_bytes:
            raise BufferFull(f"{self._outbox.count} frames wait for the socket; send this one later")
        self._machine.put(frame, uuid, kind=kind, until=self._now() + timeout)
        self._perform()

    async def _outcome(self, frame: dict[str, Any], kind: str, timeout: float, uuid: str | None = None) -> Any:
        uuid = uuid or str(uuid4())
        if uuid in self._results:
            raise ValueError(f"a message with the uuid {uuid} waits already")
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._results[uuid] = result
        try:
            self._put(frame, uuid, kind, timeout)
            return await result
        finally:
            del self._results[uuid]
            self._machine.give_up(uuid)

    def _perform(self) -> None:
        while self._machine.effects:
            self._do(self._machine.effects.popleft())
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._machine.deadline
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._tick)

    def _do(self, effect: Effect) -> None:
        match effect:
            case Dial(query):
                self._outbox = _Outbox()
                self._dialling = self._spawn(self._run(query, self._machine.dialled))
            case Write(text):
                self._outbox.put(text)
            case HangUp(code):
                self._hang_up(code)
            case FetchToken():
                self._spawn(self._refresh())
            case Tell(event):
                self._tell(event)
            case Settle(uuid, outcome):
                self._settle(uuid, outcome)

    def _tell(self, event: Event) -> None:
        self._over = isinstance(event, Ended)
        self._events.put_nowait(event)
        if self._events.qsize() >= _UNREAD:
            self._room.clear()

    def _settle(self, uuid: str, outcome: Any) -> None:
        result = self._results.get(uuid)
        if result is None or result.done():
            return
        if isinstance(outcome, ConnectionFailure):
            result.set_exception(outcome)
        else:
            result.set_result(outcome)

    def _tick(self) -> None:
        self._machine.tick(self._now())
        self._perform()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _hang_up(self, code: int) -> None:
        if self._socket is not None:
            self._outbox.closing = self._spawn(_close(self._socket, self._outbox, code))
            self._socket = None
        elif self._dialling is not None:
            self._dialling.cancel()

    async def _refresh(self) -> None:
        assert self._provider is not None
        dialled = self._machine.dialled
        try:
            token = await self._provider()
        except Exception:  # noqa: BLE001  # whatever the application's provider raises: there is no token yet
            self._machine.not_refreshed(self._now())
        else:
            if dialled == self._machine.dialled:
                self._machine.refresh(token, str(uuid4()))
                self._machine.expires(_seconds_left(token), self._now())
        self._perform()

    async def _run(self, query: dict[str, str], dialled: int) -> None:
        """One socket, from its beginning to its end."""
        code, reason, retry_after = None, "", 0.0
        try:
            code, reason = await self._connection(query)
        except aiohttp.WSServerHandshakeError as error:
            reason = f"HTTP {error.status}"
            retry_after = _retry_after(error.headers)
            if error.status in _HOPELESS and dialled == self._machine.dialled:
                self._machine.refused(reason)
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error)
        except Exception as error:  # noqa: BLE001  # of the application's provider, or a server that makes no sense
            reason = f"{type(error).__name__}: {error}"
        if dialled == self._machine.dialled:
            self._socket = None
            self._machine.broken(code, reason, self._now(), retry_after=retry_after)
            self._perform()

    async def _connection(self, query: dict[str, str]) -> tuple[int | None, str]:
        query = self._metadata | query
        token = None
        if self._provider is not None:
            token = query["token"] = await self._provider()
        async with self._http.ws_connect(
            self._url, params=query, heartbeat=self._heartbeat, max_msg_size=0, compress=0
        ) as socket:
            outbox, self._socket = self._outbox, socket
            self._machine.connected(self._now())
            if token is not None:
                self._machine.expires(_seconds_left(token), self._now())
            self._perform()
            writer = self._spawn(outbox.write(socket))
            try:
                return await self._read(socket)
            finally:
                writer.cancel()
                if outbox.closing is not None:  # else the end of this block would say goodbye (1000) before it
                    await asyncio.wait((outbox.closing,))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
        while True:
            await self._room.wait()
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                if self._socket is socket:
                    self._machine.received(json.loads(message.data), self._now())
                    self._perform()
            elif message.type is aiohttp.WSMsgType.CLOSE:
                return socket.close_code, str(message.extra or "")
            elif message.type is not aiohttp.WSMsgType.BINARY:
                return socket.close_code, "the connection broke"


class _Outbox:
    """What waits for one socket."""

    def __init__(self) -> None:
        self.size = 0
        self.closing: asyncio.Task[None] | None = None
        self._texts: asyncio.Queue[str] = asyncio.Queue()

    @property
    def count(self) -> int:
        """How many frames."""
        return self._texts.qsize()

    def put(self, text: str) -> None:
        """One more."""
        self.size += len(text)
        self._texts.put_nowait(text)

    async def write(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Write all that comes, until the socket breaks."""
        with contextlib.suppress(aiohttp.ClientError, OSError):  # the reader sees why
            while True:
                text = await self._texts.get()
                await socket.send_str(text)
                self.size -= len(text)
                self._texts.task_done()

    async def written(self) -> None:
        """Wait until nothing waits."""
        await self._texts.join()


async def _close(socket: aiohttp.ClientWebSocketResponse, outbox: _Outbox, code: int) -> None:
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        if code == _GOODBYE:
            await asyncio.wait_for(outbox.written(), _GOODBYE_TIMEOUT / 2)
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        await asyncio.wait_for(socket.close(code=code), _GOODBYE_TIMEOUT / 2)


def _retry_after(headers: Mapping[str, str] | None) -> float:
    text = (headers or {}).get("Retry-After", "")
    return float(text) if text.isdecimal() else 0.0


def _seconds_left(token: str) -> float | None:
    """How long a JWT is good for, by this machine's clock; None: it is none, or has no end."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        return max(0.0, float(claims["exp"]) - time.time())
    except (IndexError, KeyError, TypeError, ValueError):
        return None
