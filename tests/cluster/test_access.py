"""Who may connect, for how long, and what it may send: over real WebSockets, on one Redis (contract E2).

Each test ends with a client that may connect, does, and is served.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import jwt
import pytest

from endpoints import StubEndpoint, WebSocketEndpoint
from gobroke_dist import (
    Authenticator,
    Broke,
    Client,
    ClientCouldNotBeDisconnected,
    CloseCode,
    ConnectRequest,
    Identity,
    JWTAuthenticator,
    LogicBase,
    Message,
    Settings,
    Unauthorised,
)
from gobroke_dist.node import Node
from gobroke_dist.roles import edge as edge_role
from tests.access.issuer import SECRET, Key, claims_of, serving, signed
from tests.eventually import eventually

BY_SECRET = JWTAuthenticator(algorithms=["HS256"], key=SECRET, claims=["role"], leeway=0)
LENIENT = JWTAuthenticator(algorithms=["HS256"], key=SECRET, leeway=10)
"""Takes tokens that were issued a few seconds from now."""


class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class Place:
    """An edge with a WebSocket endpoint, and ways to reach it."""

    def __init__(self, broke: Broke, node: Node, http: aiohttp.ClientSession) -> None:
        self.broke = broke
        self.node = node
        self._http = http
        self._sockets: list[aiohttp.ClientWebSocketResponse] = []

    @property
    def drops(self) -> dict[str, int]:
        return dict(self.node.runtime.metrics.drops)

    async def open(
        self, token: str | None = None, *, query: str = "", in_header: bool = False
    ) -> aiohttp.ClientWebSocketResponse:
        headers = {"Authorization": f"Bearer {token}"} if token and in_header else {}
        shown = f"?{query}" + (f"&token={token}" if token and not in_header else "")
        socket = await self._http.ws_connect(self.node.addresses[0] + shown, headers=headers)
        self._sockets.append(socket)
        return socket

    async def close(self) -> None:
        """All clients leave."""
        for socket in self._sockets:
            await socket.close()

    async def welcome(self, token: str | None = None, **how: Any) -> aiohttp.ClientWebSocketResponse:
        """A client that is let in."""
        socket = await self.open(token, **how)
        assert (await socket.receive_json(timeout=5))["type"] == "welcome"
        return socket

    async def refused(self, token: str | None = None, **how: Any) -> tuple[int | None, str]:
        """The close code and reason of one that is not; it gets nothing else."""
        socket = await self.open(token, **how)
        closing = await socket.receive(timeout=5)
        assert closing.type is aiohttp.WSMsgType.CLOSE, closing
        return socket.close_code, str(closing.extra)

    async def serves(self, socket: aiohttp.ClientWebSocketResponse, text: str = "hello") -> None:
        await socket.send_json({"to_logic": "echo", "data": text})
        assert (await socket.receive_json(timeout=5))["data"] == text


async def closed_with(socket: aiohttp.ClientWebSocketResponse, within: float = 5) -> int | None:
    while (await socket.receive(timeout=within)).type is not aiohttp.WSMsgType.CLOSE:
        pass
    return socket.close_code


Start = Callable[..., Awaitable[Place]]


@pytest.fixture
async def start(redis_url: str, prefix: str) -> AsyncIterator[Start]:
    """Start an edge of one cluster."""
    async with AsyncExitStack() as stack:

        async def make(authenticator: Authenticator | None = BY_SECRET, authorise: Any = None, **more: Any) -> Place:
            settings = Settings(redis_url=redis_url, prefix=prefix, drain_timeout=5, **more)
            broke = Broke(
                WebSocketEndpoint(port=0), authenticator=authenticator, authorise=authorise, settings=settings
            )
            broke.add_logic(Echo())
            node = await stack.enter_async_context(edge_role(broke))
            broke._operations = node.runtime.operations
            place = Place(broke, node, await stack.enter_async_context(aiohttp.ClientSession()))
            stack.push_async_callback(place.close)
            return place

        yield make


# --- at connect --------------------------------------------------------------


@pytest.mark.parametrize("in_header", [True, False])
async def test_e2_a_good_token_makes_the_client(start: Start, in_header: bool) -> None:
    """Its uuid and its claims come from the token, and the token is nowhere in what others can see of it."""
    place = await start()
    token = signed(role="admin")
    socket = await place.open(token, query="role=guest&room=blue", in_header=in_header)
    assert (await socket.receive_json(timeout=5))["client"] == "ann"
    ann = await place.broke.get_client("ann")
    assert ann.metadata == {"role": "admin", "room": "blue"}
    await place.serves(socket)


@pytest.mark.parametrize(
    "token",
    [
        None,
        signed(secret="another secret, that is long enough too"),
        signed(seconds=-5),
        signed(aud="game"),
        jwt.encode(claims_of(), None, "none"),
        signed(seconds=90_000),
    ],
    ids=["none", "forged", "expired", "audience", "alg none", "too long"],
)
async def test_e2_any_other_is_closed_with_its_code_and_registers_nobody(
    start: Start, token: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    place = await start()
    code, reason = await place.refused(token)
    assert (code, reason[:12]) == (CloseCode.UNAUTHORISED, "unauthorised")
    assert code >= 4500
    assert await place.node.runtime.registry.count() == 0
    assert place.drops["unauthorised"] == 1
    assert token is None or token not in caplog.text
    await place.serves(await place.welcome(signed()))


async def test_e2_a_uuid_is_only_its_tokens_own(start: Start) -> None:
    place = await start()
    assert (await place.refused(signed("eve"), query="client=ann"))[0] == CloseCode.UNAUTHORISED
    nameless = JWTAuthenticator(algorithms=["HS256"], key=SECRET, client=None)
    other = await start(nameless)
    assert (await other.refused(signed(), query="client=ann"))[0] == CloseCode.UNAUTHORISED
    await other.serves(await other.welcome(signed()))
    await place.serves(await place.welcome(signed(), query="client=ann"))


async def test_e2_a_key_that_the_edge_has_not_seen_yet_and_an_issuer_that_is_down(start: Start) -> None:
    """A new key is found; a token of nobody's key is refused; an issuer that fails costs nobody who is known."""
    first, second, nobody = Key("k1", "ES256"), Key("k2", "ES256"), Key("k3", "ES256")
    with serving(first) as issuer:
        place = await start(JWTAuthenticator(algorithms=["ES256"], jwks=issuer.url, cooldown=0))
        issuer.status = 503
        code, _ = await place.refused(first.sign())
        assert code == CloseCode.UNAVAILABLE
        issuer.status = 200
        await place.serves(await place.welcome(first.sign("ann")))
        issuer.keys.append(second)
        await place.serves(await place.welcome(second.sign("ben")))
        assert (await place.refused(nobody.sign("eve")))[0] == CloseCode.UNAUTHORISED
    assert (await place.refused(nobody.sign("eve")))[0] == CloseCode.UNAUTHORISED  # and now it is down
    await place.serves(await place.welcome(first.sign("cid")))


async def test_e2_a_callback_sees_the_request_and_decides(start: Start) -> None:
    seen: list[ConnectRequest] = []

    async def authenticator(request: ConnectRequest) -> Identity:
        seen.append(request)
        if request.query.get("password") != "sesame":
            raise Unauthorised("no")
        return Identity(uuid=request.query["user"], claims={"password": None})

    place = await start(authenticator)
    assert await place.refused(query="user=ann") == (CloseCode.UNAUTHORISED, "unauthorised: no")
    await place.serves(await place.welcome(query="user=ann&password=sesame"))
    asked = seen[-1]
    assert (asked.transport, asked.address, asked.client, asked.token) == ("websocket", "127.0.0.1", None, None)
    assert "upgrade" in asked.headers
    assert (await place.broke.get_client("ann")).metadata == {"user": "ann", "password": None}


async def test_e2_e3_a_callback_that_hangs_or_fails_lets_nobody_in_and_costs_nobody_else(start: Start) -> None:
    async def authenticator(request: ConnectRequest) -> Identity:
        if request.token == "hang":
            await asyncio.Event().wait()
        if request.token == "fail":
            raise OSError("the database is gone")
        if request.token == "wrong":
            return None  # type: ignore[return-value]
        return Identity(uuid=request.token)

    place = await start(authenticator, handshake_timeout=0.3)
    hanging = asyncio.create_task(place.refused("hang"))
    await place.serves(await place.welcome("ann"))
    assert (await hanging)[0] == CloseCode.UNAVAILABLE
    assert place.drops["authentication_timeout"] == 1
    for token in ("fail", "wrong"):
        assert (await place.refused(token))[0] == CloseCode.INTERNAL_ERROR
    await place.serves(await place.welcome("ben"))


async def test_e2_an_endpoint_that_tells_nothing_of_who_connects_lets_nobody_in(start: Start) -> None:
    """An endpoint that was forgotten must not be the way around the authenticator."""
    place = await start()
    endpoint = place.broke.get_endpoint()
    gateway = endpoint._server._gateway  # type: ignore[attr-defined]
    session = gateway.session(Client(uuid="eve"), endpoint.protocol, lambda: None)  # type: ignore[attr-defined]
    with pytest.raises(Unauthorised):
        await gateway.connect(session)
    await place.serves(await place.welcome(signed()))


async def test_e2_clients_that_code_makes_are_vouched_for(redis_url: str, prefix: str) -> None:
    settings = Settings(redis_url=redis_url, prefix=prefix)
    broke = Broke(StubEndpoint(), authenticator=BY_SECRET, settings=settings)
    async with edge_role(broke) as node:
        broke._operations = node.runtime.operations
        await broke.register_client(Client(uuid="ann"))
        assert (await broke.get_client("ann")).uuid == "ann"


# --- later on ----------------------------------------------------------------


async def test_e2_a_token_that_runs_out_closes_its_connection_and_a_new_one_opens_it(start: Start) -> None:
    place = await start()
    socket = await place.welcome(signed(seconds=1))
    await place.serves(socket)
    assert await closed_with(socket) == CloseCode.TOKEN_EXPIRED
    assert 4000 <= CloseCode.TOKEN_EXPIRED < 4500
    await place.serves(await place.welcome(signed()))


async def test_e2_a_newer_token_keeps_the_connection(start: Start) -> None:
    place = await start()
    socket = await place.welcome(signed(seconds=1.5, role="guest"))
    newer = signed(seconds=60, role="admin")
    await socket.send_json({"token": newer, "uuid": "t1"})
    answer = await socket.receive_json(timeout=5)
    assert (answer["type"], answer["uuid"]) == ("refreshed", "t1")
    assert answer["expires_at"] == pytest.approx(jwt.decode(newer, SECRET, ["HS256"])["exp"], abs=0.01)
    with pytest.raises(TimeoutError):
        await socket.receive(timeout=2)  # the first token has run out by then
    await place.serves(socket)
    assert (await place.broke.get_client("ann")).metadata["role"] == "admin"


@pytest.mark.parametrize(
    "token",
    [signed("eve", seconds=60), signed(secret="another secret, that is long enough too"), signed(seconds=-5)],
    ids=["another client's", "forged", "expired"],
)
async def test_e2_what_is_no_newer_token_is_refused_and_the_old_one_counts_to_its_end(start: Start, token: str) -> None:
    place = await start()
    socket = await place.welcome(signed(seconds=1.5))
    await socket.send_json({"token": token, "uuid": "t1"})
    answer = await socket.receive_json(timeout=5)
    assert (answer["type"], answer["code"], answer["uuid"]) == ("error", "unauthorised", "t1")
    assert token not in answer["text"]
    await place.serves(socket)
    assert await closed_with(socket) == CloseCode.TOKEN_EXPIRED
    await place.serves(await place.welcome(signed()))


async def test_e2_a_token_where_there_are_none_is_an_error(start: Start) -> None:
    place = await start(None)
    socket = await place.welcome()
    for frame in ({"token": signed()}, {"token": ""}, {"token": signed(), "to_logic": "echo", "data": 1}):
        await socket.send_json(frame)
        assert (await socket.receive_json(timeout=5))["code"] in ("unauthorised", "frame_invalid")
    await place.serves(socket)


# --- revocation --------------------------------------------------------------


async def test_e2_revoking_closes_a_client_of_another_node_and_keeps_its_tokens_out_of_every_node(start: Start) -> None:
    """On both nodes, by connecting and by refreshing; a token that is issued later counts again."""
    one, two = await start(LENIENT), await start(LENIENT)
    old = signed(age=5)
    socket = await one.welcome(old)
    closing = asyncio.create_task(closed_with(socket))
    assert await two.broke.revoke("ann") is True
    assert await closing == CloseCode.REVOKED
    for place in (one, two):
        assert (await place.refused(old))[0] == CloseCode.REVOKED
    later = signed(age=-2)
    socket = await two.welcome(later)
    await socket.send_json({"token": old})
    assert (await socket.receive_json(timeout=5))["code"] == "revoked"
    await two.serves(socket)
    assert await one.broke.revoke("nobody") is False
    await one.serves(await one.welcome(signed("ben")))


async def test_e2_c2_a_revoked_token_does_not_replace_who_is_connected(start: Start) -> None:
    one, two = [await start(LENIENT, duplicate_clients="replace") for _ in range(2)]
    await one.broke.revoke("ann")
    ann = await one.welcome(signed(age=-2))
    assert (await two.refused(signed(age=5)))[0] == CloseCode.REVOKED
    await one.serves(ann)


async def test_e2_who_connects_in_the_moment_of_its_revocation_is_closed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node has asked whether it is revoked, and has not registered it yet: revoking finds nobody to close."""
    one, two = await start(), await start()
    registry = one.node.runtime.registry
    register = registry.register

    async def revoked_meanwhile(client: Client, *more: Any) -> None:
        assert await two.broke.revoke("ann") is False
        await register(client, *more)

    monkeypatch.setattr(registry, "register", revoked_meanwhile)
    assert (await one.refused(signed(age=5)))[0] == CloseCode.REVOKED
    monkeypatch.undo()

    async def nobody() -> bool:
        return await registry.count() == 0

    await eventually(nobody)
    await one.serves(await one.welcome(signed("ben")))


async def test_e2_c3_a_node_that_was_cut_off_closes_who_was_revoked_meanwhile(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await start(), await start(request_timeout=0.3)
    socket = await one.welcome(signed(age=5))
    with monkeypatch.context() as deaf:
        deaf.setattr(one.node._arrivals, "_close", _never)
        with pytest.raises(ClientCouldNotBeDisconnected):
            await two.broke.revoke("ann")
    closing = asyncio.create_task(closed_with(socket))
    await one.node._register_all()
    assert await closing == CloseCode.REVOKED
    await one.serves(await one.welcome(signed("ben")))


async def _never(*_: Any) -> None:
    await asyncio.Event().wait()


async def test_e2_a_revocation_is_forgotten_when_no_token_can_be_that_old(start: Start, prefix: str) -> None:
    place = await start(revocation_ttl=60)
    await place.broke.revoke("ann")
    registry = place.node.runtime.registry
    left = await registry._line.call("PTTL", f"{prefix}:revoked:ann", read=int)  # type: ignore[attr-defined]
    assert 50_000 < left <= 60_000
    assert (await place.refused(signed("ben", seconds=61)))[0] == CloseCode.UNAUTHORISED
    await place.serves(await place.welcome(signed("ben", seconds=50)))


# --- what it may address -----------------------------------------------------


async def test_e2_what_a_client_may_not_address_is_an_error_and_reaches_nobody(start: Start) -> None:
    """Neither the recipient that it may not address nor the others of that message."""

    def authorise(client: Client, kind: str, name: str) -> bool:
        return client.metadata.get("role") == "admin" or (kind, name) == ("logic", "echo")

    place = await start(authorise=authorise)
    guest, admin = await place.welcome(signed("ann")), await place.welcome(signed("ben", role="admin"))
    for frame, field in (
        ({"to_client": "ben"}, "to_client"),
        ({"to_logic": "echo", "to_client": "ben"}, "to_client"),
        ({"to_logic": "secret"}, "to_logic"),
        ({"to_group": "blue"}, "to_group"),
        ({"to_logic": "secret", "ask": 1}, "to_logic"),
    ):
        await guest.send_json(frame | {"data": 1, "uuid": "m1"})
        answer = await guest.receive_json(timeout=5)
        assert (answer["code"], answer["uuid"], answer["field"]) == ("not_authorised", "m1", field)
    assert place.node.runtime.metrics.counts["refused_not_authorised"] == 5
    await place.serves(guest)
    await admin.send_json({"to_client": "ann", "data": "from the admin"})
    assert (await guest.receive_json(timeout=5))["data"] == "from the admin"
    await place.serves(admin)
