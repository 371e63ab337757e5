"""The ways to reach an edge, each with a client that speaks it: what the conformance suite runs over."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import trustme
from aiohttp import ClientError, ClientResponse, ClientSession, ClientWebSocketResponse, WSMsgType

from endpoints import HTTPEndpoint, LengthPrefix, Lines, StubEndpoint, TCPEndpoint, UDPEndpoint, WebSocketEndpoint
from gobroke_dist import Client, ClientAlreadyExists, CloseCode, Endpoint
from tests.endpoints.tcp_client import Framing, TCPClient
from tests.endpoints.udp_client import UDPClient
from tests.eventually import eventually

Frame = dict[str, Any]


class Visitor(ABC):
    """One client on one connection."""

    @abstractmethod
    async def send(self, frame: bytes | Frame) -> None:
        """Send a frame of text."""

    @abstractmethod
    async def receive(self, within: float = 5) -> Frame:
        """The next frame; signs of life are answered while it waits."""

    @abstractmethod
    async def closed(self, within: float = 5) -> int | None:
        """The code with which the node ends the connection, past any frames before it."""

    @abstractmethod
    def stop_reading(self) -> None:
        """Read nothing more, and so answer nothing."""

    @abstractmethod
    def read_again(self) -> None:
        """After ``stop_reading``."""

    @abstractmethod
    def drop(self) -> None:
        """Lose the connection, without a goodbye."""

    @abstractmethod
    async def leave(self) -> None:
        """Say goodbye."""

    async def data(self) -> Any:
        """The payload of the next frame, which is a message."""
        frame = await self.receive()
        assert frame["type"] == "message", frame
        return frame["data"]


class Way(ABC):
    """One kind of endpoint."""

    settings: Mapping[str, Any] = {}  # of a node for this way
    always_recovers = False  # whether its clients get a session without asking for it
    answers_frames = False  # whether what is wrong with a frame is answered, and never costs the connection
    answers_pings = True  # whether a client that does not read is one that does not live

    @abstractmethod
    def endpoint(self) -> Endpoint:
        """One that listens on a free port."""

    @abstractmethod
    async def connect(self, endpoint: Endpoint, stack: AsyncExitStack, **hello: Any) -> Visitor:
        """A new connection; nothing was read from it yet."""


class Identity:
    """A certificate for this host.

    Attributes:
        settings: of a node that shows it.
        trusting: for a client that believes who made it.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        made = authority.issue_cert("localhost")
        certificate, key = folder / "certificate.pem", folder / "key.pem"
        made.private_key_pem.write_to_path(key)
        certificate.write_bytes(b"".join(part.bytes() for part in made.cert_chain_pems))
        self.settings = {"tls_certificate": certificate, "tls_key": key}
        self.trusting = ssl.create_default_context()
        authority.configure_trust(self.trusting)


# --- WebSocket ---------------------------------------------------------------


class WebSocketVisitor(Visitor):
    def __init__(self, socket: ClientWebSocketResponse) -> None:
        connection = socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        self.socket = socket
        self._transport = connection.transport
        self._raw = connection.transport.get_extra_info("socket")

    async def send(self, frame: bytes | Frame) -> None:
        raw = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        await self.socket.send_frame(raw, WSMsgType.TEXT)

    async def receive(self, within: float = 5) -> Frame:
        return cast(Frame, await self.socket.receive_json(timeout=within))

    async def closed(self, within: float = 5) -> int | None:
        async with asyncio.timeout(within):
            while (await self.socket.receive()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
                pass
        return self.socket.close_code

    def stop_reading(self) -> None:
        self._transport.pause_reading()

    def read_again(self) -> None:
        self._transport.resume_reading()

    def drop(self) -> None:
        self._transport.abort()

    async def leave(self) -> None:
        await self.socket.close()

    async def gone(self) -> None:
        """Lose the connection, and wait until its socket is closed: one that reads nothing would never see its end."""
        self.drop()
        await eventually(lambda: self._raw.fileno() == -1)


class WebSocketWay(Way):
    def __init__(self, tls: Identity | None = None) -> None:
        self._tls = tls
        self.settings = {} if tls is None else tls.settings

    def endpoint(self) -> Endpoint:
        return WebSocketEndpoint(port=0)

    async def connect(self, endpoint: Endpoint, stack: AsyncExitStack, **hello: Any) -> Visitor:
        http = await stack.enter_async_context(ClientSession())
        query = {name: str(int(value) if value is True else value) for name, value in hello.items()}
        socket = await http.ws_connect(
            endpoint.addresses[0],
            params=query,
            max_msg_size=0,
            compress=0,
            ssl=True if self._tls is None else self._tls.trusting,
            server_hostname=None if self._tls is None else "localhost",
        )
        visitor = WebSocketVisitor(socket)
        stack.push_async_callback(visitor.gone)
        return visitor


# --- TCP ---------------------------------------------------------------------


class TCPVisitor(Visitor):
    def __init__(self, client: TCPClient) -> None:
        self.client = client

    async def send(self, frame: bytes | Frame) -> None:
        self.client.send(frame)
        await self.client.writer.drain()

    async def receive(self, within: float = 5) -> Frame:
        frame = await self.client.receive(within)
        assert frame is not None, "the connection has ended"
        return frame

    async def closed(self, within: float = 5) -> int | None:
        return await self.client.closed(within)

    def stop_reading(self) -> None:
        self.client.writer.transport.pause_reading()

    def read_again(self) -> None:
        self.client.writer.transport.resume_reading()

    def drop(self) -> None:
        self.client.abort()

    async def leave(self) -> None:
        self.client.send({"close": 1000})
        assert await self.client.closed() == CloseCode.NORMAL


class TCPWay(Way):
    def __init__(self, framing: Framing = "length", tls: Identity | None = None) -> None:
        self._framing = framing
        self._tls = tls
        self.settings = {} if tls is None else tls.settings

    def endpoint(self) -> Endpoint:
        return TCPEndpoint(port=0, framing=Lines() if self._framing == "lines" else LengthPrefix())

    async def connect(self, endpoint: Endpoint, stack: AsyncExitStack, **hello: Any) -> Visitor:
        client = await TCPClient.open(endpoint.addresses[0], self._framing, self._tls.trusting if self._tls else None)
        stack.push_async_callback(client.gone)
        client.send(hello)
        return TCPVisitor(client)


# --- UDP ---------------------------------------------------------------------


class UDPVisitor(Visitor):
    """Its goodbye is a datagram of another kind than frames; here it is also one frame more, as over the others."""

    def __init__(self, client: UDPClient) -> None:
        self.client = client
        self._ended = False

    async def send(self, frame: bytes | Frame) -> None:
        self.client.send(frame)
        await asyncio.sleep(0)  # the node reads, before the system has no room for more

    async def receive(self, within: float = 5) -> Frame:
        frame = await self.client.receive(within)
        assert not self._ended, "the connection has ended"
        self._ended = frame is None
        return frame or {"type": "closed", "code": self.client.close_code, "retry_after": self.client.retry_ms}

    async def closed(self, within: float = 5) -> int | None:
        return self.client.close_code if self._ended else await self.client.closed(within)

    def stop_reading(self) -> None:
        self.client.deaf = True

    def read_again(self) -> None:
        self.client.deaf = False

    def drop(self) -> None:
        self.client.close()

    async def leave(self) -> None:
        self.client.leave()
        assert await self.client.closed() == CloseCode.NORMAL


class UDPWay(Way):
    settings: Mapping[str, Any] = {"ping_interval": 1.0, "ping_timeout": 1.0}  # nothing else shows that one is lost

    def endpoint(self) -> Endpoint:
        return UDPEndpoint(port=0, max_datagram=65_507)

    async def connect(self, endpoint: Endpoint, stack: AsyncExitStack, **hello: Any) -> Visitor:
        client = await UDPClient.open(endpoint.addresses[0], hello)
        stack.callback(client.part)
        return UDPVisitor(client)


# --- HTTP --------------------------------------------------------------------


class HTTPVisitor(Visitor):
    """Sends with a request for each frame; what is wrong with one comes back as an error frame would.

    Attributes:
        place: where the client is.
    """

    def __init__(self, url: str, http: ClientSession, tls: dict[str, Any]) -> None:
        self.place = ""
        self._url = url
        self._http = http
        self._tls = tls
        self._errors: list[Frame] = []
        self._code: int | None = None

    async def send(self, frame: bytes | Frame) -> None:
        raw = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        shown = {"Gobroke-Session": self.place}
        async with self._http.post(f"{self._url}/send", data=raw, headers=shown, **self._tls) as answer:
            said = json.loads(await answer.read())
        if answer.status != 202:
            self._errors.append({"type": "error", **said})

    async def receive(self, within: float = 5) -> Frame:
        frame = self._errors.pop(0) if self._errors else await self._next(within)
        if frame["type"] == "closed":
            self._code = frame["code"]
        return frame

    async def closed(self, within: float = 5) -> int | None:
        async with asyncio.timeout(within):
            while self._code is None:
                await self.receive(within)
        return self._code

    async def leave(self) -> None:
        await self.send({"close": 1000})
        assert await self.closed() == CloseCode.NORMAL

    @abstractmethod
    async def _next(self, within: float) -> Frame:
        """The next frame that was sent to the client."""


class StreamVisitor(HTTPVisitor):
    def __init__(self, url: str, http: ClientSession, tls: dict[str, Any], stream: ClientResponse) -> None:
        super().__init__(url, http, tls)
        self._stream = stream
        self._connection = stream.connection  # None: it has ended already

    async def _next(self, within: float) -> Frame:
        event: dict[str, str] = {}
        async with asyncio.timeout(within):
            while (line := await self._stream.content.readline()) != b"\n" or "data" not in event:
                assert line, f"the stream has ended after {event}"
                name, _, value = line.decode().rstrip("\n").partition(": ")
                event[name] = value
        self.place = event.get("id", self.place)
        return cast(Frame, json.loads(event["data"]))

    async def closed(self, within: float = 5) -> int | None:
        code = await super().closed(within)
        assert await asyncio.wait_for(self._stream.content.read(), within) == b""
        return code

    def stop_reading(self) -> None:
        self._transport.pause_reading()

    def read_again(self) -> None:
        self._transport.resume_reading()

    def drop(self) -> None:
        self._transport.abort()

    @property
    def _transport(self) -> asyncio.Transport:
        assert self._connection is not None
        assert self._connection.transport is not None
        return self._connection.transport


class PollVisitor(HTTPVisitor):
    """Polls without a pause, until it is told to stop."""

    def __init__(self, url: str, http: ClientSession, tls: dict[str, Any], query: dict[str, str]) -> None:
        super().__init__(url, http, tls)
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._may_poll = asyncio.Event()
        self._may_poll.set()
        self._polling = asyncio.create_task(self._poll(query))

    async def _poll(self, query: dict[str, str]) -> None:
        while True:
            await self._may_poll.wait()
            async with self._http.get(f"{self._url}/poll", params=query, **self._tls) as answer:
                said = await answer.json(content_type=None)
            if answer.status != 200:
                self._frames.put_nowait({"type": "closed", "code": _AS_CLOSED[said["code"]]})
                return
            self.place = said["next"]
            query = {"after": self.place}
            for frame in (*said["frames"], *([said["closed"]] if "closed" in said else ())):
                self._frames.put_nowait(frame)
            if "closed" in said:
                return

    async def _next(self, within: float) -> Frame:
        return await asyncio.wait_for(self._frames.get(), within)

    def stop_reading(self) -> None:
        self._may_poll.clear()

    def read_again(self) -> None:
        self._may_poll.set()

    def drop(self) -> None:
        self._polling.cancel()

    async def gone(self) -> None:
        self.drop()
        with contextlib.suppress(asyncio.CancelledError, ClientError):
            await self._polling


_AS_CLOSED = {
    "unauthorised": CloseCode.UNAUTHORISED,
    "client_already_exists": CloseCode.ALREADY_CONNECTED,
}
"""A client that polls and is not let in gets a problem document with a code."""


class HTTPWay(Way):
    always_recovers = True
    answers_frames = True

    def __init__(self, tls: Identity | None = None) -> None:
        self.settings = {} if tls is None else tls.settings
        self._tls = {} if tls is None else {"ssl": tls.trusting, "server_hostname": "localhost"}

    def endpoint(self) -> Endpoint:
        return HTTPEndpoint(port=0)

    async def connect(self, endpoint: Endpoint, stack: AsyncExitStack, **hello: Any) -> Visitor:
        http = await stack.enter_async_context(ClientSession(read_bufsize=1 << 21))
        query = {name: str(int(value) if value is True else value) for name, value in hello.items()}
        return await self._enter(endpoint.addresses[0], http, query, stack)

    @abstractmethod
    async def _enter(self, url: str, http: ClientSession, query: dict[str, str], stack: AsyncExitStack) -> Visitor: ...


class StreamWay(HTTPWay):
    answers_pings = False

    async def _enter(self, url: str, http: ClientSession, query: dict[str, str], stack: AsyncExitStack) -> Visitor:
        stream = await http.get(f"{url}/events", params=query, **self._tls)
        stack.callback(stream.close)
        assert stream.status == 200, await stream.text()
        return StreamVisitor(url, http, self._tls, stream)


class PollWay(HTTPWay):
    def __init__(self, tls: Identity | None = None) -> None:
        super().__init__(tls)
        self.settings = {**self.settings, "ping_interval": 1.0, "ping_timeout": 2.0}  # a lost client is soon away

    async def _enter(self, url: str, http: ClientSession, query: dict[str, str], stack: AsyncExitStack) -> Visitor:
        visitor = PollVisitor(url, http, self._tls, query)
        stack.push_async_callback(visitor.gone)
        return visitor


# --- the stub ----------------------------------------------------------------


class StubVisitor(Visitor):
    """A client of the stub has messages rather than frames; its welcome is that it is connected."""

    def __init__(self, stub: StubEndpoint, client: Client, refused: int | None) -> None:
        self._stub = stub
        self._client = client
        self._refused = refused
        self._welcomed = False
        self._errors = 0

    async def send(self, frame: bytes | Frame) -> None:
        assert isinstance(frame, dict)
        await self._stub.simulate_client_message(
            self._client,
            frame.get("to_client", ()),
            json.dumps(frame["data"]),
            to_logic=frame.get("to_logic", ()),
            uuid=frame.get("uuid"),
        )

    async def receive(self, within: float = 5) -> Frame:
        if not self._welcomed:
            self._welcomed = True
            return {"type": "welcome", "client": self._client.uuid, "node": self._client.node}
        errors = self._stub.errors(self._client)
        if len(errors) > self._errors:
            self._errors += 1
            return {"type": "error", "code": errors[self._errors - 1].code}
        message = await self._stub.next_message(self._client, within)
        return {"type": "message", "data": json.loads(message.message_raw)}

    async def closed(self, within: float = 5) -> int | None:
        return self._refused or await eventually(lambda: self._stub.close_code(self._client), within)

    def stop_reading(self) -> None:
        pass  # it reads what it is asked for

    def read_again(self) -> None:
        pass

    def drop(self) -> None:
        raise NotImplementedError("the stub has no connection to lose")

    async def leave(self) -> None:
        await self._stub.simulate_client_disconnection(self._client)


class StubWay(Way):
    def endpoint(self) -> Endpoint:
        return StubEndpoint()

    async def connect(self, endpoint: Endpoint, stack: AsyncExitStack, **hello: Any) -> Visitor:
        assert isinstance(endpoint, StubEndpoint)
        client = Client(uuid=hello.pop("client"))
        client.metadata.update(hello)
        refused = None
        try:
            await endpoint.simulate_client_connection(client)
        except ClientAlreadyExists:
            refused = CloseCode.ALREADY_CONNECTED
        return StubVisitor(endpoint, client, refused)


def ways(folder: Path) -> dict[str, Way]:
    """All of them by name; the certificate of those with TLS is kept in a folder."""
    identity = Identity(folder)
    return {
        "websocket": WebSocketWay(),
        "websocket-tls": WebSocketWay(identity),
        "tcp": TCPWay(),
        "tcp-lines": TCPWay("lines"),
        "tcp-tls": TCPWay(tls=identity),
        "udp": UDPWay(),
        "sse": StreamWay(),
        "sse-tls": StreamWay(identity),
        "poll": PollWay(),
        "stub": StubWay(),
    }
