"""Who may connect over HTTP, for how long, from where, and how many (contract E2, E3, E8)."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from gobroke_dist import CloseCode, ConnectRequest, Identity, JWTAuthenticator
from gobroke_dist.node import Node
from tests.access.issuer import SECRET, signed
from tests.endpoints.http_street import Street
from tests.eventually import eventually

JWT = JWTAuthenticator(algorithms=["HS256"], key=SECRET, leeway=0)
LENIENT = JWTAuthenticator(algorithms=["HS256"], key=SECRET, leeway=10)


def shown(token: str, *, in_header: bool) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {token}"}} if in_header else {"token": token}


# --- tokens ------------------------------------------------------------------


@pytest.mark.parametrize("in_header", [True, False], ids=["header", "query"])
async def test_e2_a_token_is_shown_in_the_header_or_as_by_an_event_source_in_the_query(
    street: Street, in_header: bool
) -> None:
    node = await street.node(authenticator=JWT)
    stream = await street.stream(node, room="blue", **shown(signed("ann"), in_header=in_header))
    assert (await stream.frame())["client"] == "ann"
    status, _, answer = await street.ask(node, **shown(signed("ben"), in_header=in_header))
    assert (status, answer["frames"][0]["client"]) == (200, "ben")
    assert (await node.runtime.operations.get_client("ann")).metadata == {"room": "blue"}
    assert (await street.send(node, answer["next"], {"to_client": "ann", "data": 1}))[0] == 202
    assert (await stream.frame())["data"] == 1


@pytest.mark.parametrize("token", ["", signed(secret="another secret, that is long enough too"), signed(seconds=-5)])
async def test_e2_any_other_is_told_so_and_registers_nobody(street: Street, token: str) -> None:
    """A stream ends at once, with the code that says not to come back: its client would, after another answer than 200,
    not learn why."""
    node = await street.node(authenticator=JWT)
    query = {"token": token} if token else {}
    stream = await street.stream(node, **query)
    closed = await stream.next()
    assert (closed["event"], json.loads(closed["data"])["code"]) == ("closed", CloseCode.UNAUTHORISED)
    assert int(closed["retry"]) == 3_600_000
    assert "retry_after" not in json.loads(closed["data"])
    status, headers, document = await street.ask(node, **query)
    assert (status, headers["WWW-Authenticate"], document["code"]) == (401, "Bearer", "unauthorised")
    assert token not in document["detail"] or not token
    assert await node.runtime.registry.count() == 0
    assert node.door.inside == 0


async def test_e2_a_token_that_runs_out_ends_streams_and_polls_and_a_newer_one_keeps_them(street: Street) -> None:
    node = await street.node(authenticator=JWT)
    short = {name: signed(name, seconds=2) for name in ("ann", "ben", "cleo")}
    streams = {name: await street.stream(node, token=short[name]) for name in ("ann", "ben")}
    place = (await streams["ann"].next())["id"]
    await streams["ben"].next()
    polled = await street.poll(node, token=short["cleo"])
    polling = asyncio.create_task(street.poll(node, after=polled["next"]))
    assert (await street.send(node, place, {"token": signed("ann"), "uuid": "t1"}))[0] == 202
    assert (await streams["ann"].frame())["uuid"] == "t1"
    closed = await streams["ben"].next()
    assert json.loads(closed["data"])["code"] == CloseCode.TOKEN_EXPIRED
    assert 1000 <= int(closed["retry"]) < 5000
    assert (await polling)["closed"]["code"] == CloseCode.TOKEN_EXPIRED
    assert (await street.send(node, place, {"to_logic": "echo", "data": 1}))[0] == 202
    assert (await streams["ann"].frame())["data"] == 1
    status, _, document = await street.ask(node, after=polled["next"], token=short["cleo"])
    assert (status, document["code"]) == (401, "unauthorised")
    assert (await street.poll(node, after=polled["next"], token=signed("cleo")))["frames"][0]["recovered"] is True


async def test_e2_who_is_revoked_streams_polls_and_posts_no_more_on_any_node(street: Street) -> None:
    one, two = await street.node(authenticator=LENIENT), await street.node(authenticator=LENIENT)
    tokens = {name: signed(name, age=5) for name in ("ann", "ben")}
    stream = await street.stream(one, token=tokens["ann"])
    places = {"ann": (await stream.next())["id"], "ben": (await street.poll(one, token=tokens["ben"]))["next"]}
    polling = asyncio.create_task(street.poll(one, after=places["ben"]))
    for name in tokens:
        assert await two.runtime.operations.revoke(name) is True
    assert (await stream.frame())["code"] == CloseCode.REVOKED
    assert (await polling)["closed"]["code"] == CloseCode.REVOKED
    for node in (one, two):
        for name, token in tokens.items():
            assert (await street.send(node, places[name], {"to_logic": "echo", "data": 1}))[0] == 409
            status, _, document = await street.ask(node, after=places[name], token=token)
            assert (status, document["code"]) == (401, "revoked")


async def test_e2_a_place_does_not_stand_in_for_a_token(street: Street) -> None:
    """Who has the place of another, and a token of its own, does not become the other."""
    one, two = await street.node(authenticator=JWT), await street.node(authenticator=JWT)
    place = (await street.poll(one, token=signed("ann")))["next"]
    status, _, document = await street.ask(two, after=place, token=signed("eve"))
    assert (status, document["code"]) == (401, "unauthorised")
    assert (await street.ask(two, after=place))[0] == 401
    assert (await street.poll(two, after=place, token=signed("ann")))["frames"][0]["recovered"] is True


@pytest.mark.parametrize("name", ["auth0|5f7c", "ann@example.com", "https://a.example/u/1?x=1&y=%20#z"])
async def test_e2_c7_who_has_any_name_that_a_token_may_have_comes_back(street: Street, name: str) -> None:
    one, two = await street.node(authenticator=JWT), await street.node(authenticator=JWT)
    stream = await street.stream(one, token=signed(name))
    place = (await stream.next())["id"]
    assert (await street.send(two, place, {"to_logic": "echo", "data": 1}))[0] == 202
    assert (await stream.frame())["data"] == 1
    moved = await street.stream(two, token=signed(name), headers={"Last-Event-ID": place})
    assert [(await moved.frame()).get("recovered"), (await moved.frame())["data"]] == [True, 1]


# --- what is put into headers and lines ----------------------------------------


async def test_e8_a_name_from_elsewhere_can_not_begin_a_line_of_a_stream(street: Street) -> None:
    async def who(request: ConnectRequest) -> Identity:
        return Identity(uuid="a/b\n\nevent: closed\ndata: {}\n\n")

    node = await street.node(authenticator=who)
    stream = await street.stream(node)
    welcome = await stream.next()
    assert "event" not in welcome
    assert (await street.send(node, welcome["id"], {"to_logic": "echo", "data": "\u2028\r\n\n"}))[0] == 202
    echoed = await stream.next()
    assert "event" not in echoed
    assert json.loads(echoed["data"])["data"] == "\u2028\r\n\n"


@pytest.mark.parametrize(
    "request_line",
    [
        "GET /client/poll?client=a%0d%0aX-Injected:%201 HTTP/1.1",
        "GET /client/poll?a%0d%0aX-Injected:%201=1&a%0d%0aX-Injected:%201=1 HTTP/1.1",
        "GET /client/poll?after=a%250d%250aX-Injected:%201/s/1 HTTP/1.1",
        "GET /client/events?after=a%250d%250aX-Injected:%201/s/1 HTTP/1.1",
        "GET /client/events?client=a%0d%0aX-Injected:%201 HTTP/1.1",
        "GET /client/poll?wait=%0d%0aX-Injected:%201 HTTP/1.1",
        "GET /client%0d%0aX-Injected:%201 HTTP/1.1",
    ],
)
async def test_e8_what_a_client_sends_can_not_begin_a_header(street: Street, request_line: str) -> None:
    node = await street.node(origins=("*",))
    answer = await _raw(node, f"{request_line}\r\nHost: h\r\nOrigin: https://x%0d%0aX-Injected: 1\r\n")
    head = answer.partition(b"\r\n\r\n")[0]
    assert head.split()[1] in (b"400", b"404")
    assert not any(line.startswith(b"X-Injected") for line in head.split(b"\r\n"))


async def test_e8_a_place_with_anything_in_it_finds_nobody(street: Street) -> None:
    node = await street.node()
    for place in (quote("a\r\nX: 1", safe="") + "/s.e/1", quote("é" * 50, safe="") + "/s.e/1", "%ff%00/s.e/1"):
        status, document = await street.send(node, place, {"to_logic": "echo", "data": 1})
        assert (status, document["code"]) == (409, "client_does_not_exist")
    for bad in ("x", "a/b/c", "a" * 3000 + "/s/1"):
        assert (await street.send(node, bad, {"to_logic": "echo", "data": 1}))[0] == 400


async def _raw(node: Node, head: str) -> bytes:
    at = urlsplit(node.addresses[0])
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(f"{head}Connection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return answer


# --- how many ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        ({"max_connections_per_address": 2}, 429),
        ({"max_connections": 2}, 503),
        ({"connect_burst": 2, "max_connects": 0.3}, 503),
    ],
    ids=["address", "node", "rate"],
)
async def test_e3_mailboxes_and_streams_count_alike_and_the_third_is_told_when_to_come(
    street: Street, limit: dict[str, Any], status: int
) -> None:
    node = await street.node(ping_timeout=1.5, **limit)
    stream = await street.stream(node, client="ann")
    await stream.next()
    await street.poll(node, client="ben", wait=0)
    got, headers, document = await street.ask(node, client="cleo", wait=0)
    assert (got, document["code"], headers["Content-Type"]) == (
        status,
        "too_many_connections",
        "application/problem+json",
    )
    assert int(headers["Retry-After"]) >= 1
    assert headers["Connection"] == "close"
    async with street.http.get(f"{node.addresses[0]}/events", params={"client": "cleo"}) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    await eventually(lambda: node.door.inside == 1)  # ben polls no more
    await eventually(lambda: "ben" not in node.runtime.hub)
    if "connect_burst" not in limit:
        assert (await street.ask(node, client="cleo", wait=0))[0] == 200


async def test_e3_a_full_address_has_polls_that_wait_for_as_many_clients_as_it_may_have(street: Street) -> None:
    """The socket of a poll that waits does not take the place of a client."""
    node = await street.node(max_connections_per_address=3)
    places = [(await street.poll(node, client=name))["next"] for name in ("ann", "ben", "cleo")]
    polls = [asyncio.create_task(street.poll(node, after=place)) for place in places[:2]]
    await eventually(lambda: node.door._waiting["127.0.0.1"] == 2)
    assert (await street.send(node, places[2], {"to_client": ["ann", "ben"], "data": 1}))[0] == 202
    assert [answer["frames"][0]["data"] for answer in await asyncio.gather(*polls)] == [1, 1]


async def test_e3_who_is_refused_takes_no_seat(street: Street) -> None:
    node = await street.node(max_connections_per_address=3)
    await street.poll(node, client="ann")
    for _ in range(5):
        status, _, document = await street.ask(node, client="ann")
        assert (status, document["code"]) == (409, "client_already_exists")
    assert node.door.inside == 1
