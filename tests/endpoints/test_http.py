"""The HTTP endpoint: real nodes on one Redis, requests that go to whichever of them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import signal
import socket
import tracemalloc
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from endpoints import HTTPEndpoint
from endpoints.hello import HelloRefused
from endpoints.place import Place
from gobroke_dist import Broke, ClientDoesNotExist, CloseCode, LogicBase, LogicType, Message
from gobroke_dist.node import Node
from gobroke_dist.roles import worker
from gobroke_dist.testing.faults import Proxy
from tests.cluster.test_processes import process
from tests.endpoints.http_street import Events, Street
from tests.eventually import eventually


def test_e1_a_place_is_read_as_it_was_written_and_nothing_else_is() -> None:
    for place in (Place("ann", "s.e", 7), Place("a/b\nc", "s.e", 0)):
        assert Place.read(str(place)) == place
        assert "\n" not in str(place)
    for bad in ("", "a/b", "a/b/c", "a/b/1/2", "a/b/-1", "é/b/1", "a/b/" + "1" * 16, "a" * 1000 + "/b/1"):
        with pytest.raises(HelloRefused):
            Place.read(bad)


async def test_e1_polls_and_posts_go_to_any_node_and_nothing_is_lost_or_twice(street: Street) -> None:
    nodes = [await street.node() for _ in range(3)]
    first = await street.poll(nodes[0], client="ann")
    assert first["frames"][0]["type"] == "welcome"
    place, got = first["next"], []
    for n in range(12):
        assert (await street.send(nodes[(n + 1) % 3], place, {"to_logic": "echo", "data": n}))[0] == 202
        while n not in got:
            answer = await street.poll(nodes[n % 3], after=place)
            place = answer["next"]
            got += [frame["data"] for frame in answer["frames"] if frame["type"] == "message"]
    assert got == list(range(12))


async def test_c7_an_answer_that_was_lost_is_given_again(street: Street) -> None:
    node = await street.node()
    place = (await street.poll(node, client="ann"))["next"]
    await street.send(node, place, {"to_logic": "echo", "data": 1})
    lost = await street.poll(node, after=place)
    again = await street.poll(node, after=place)
    assert lost["frames"] == again["frames"] != []


async def test_e1_c7_a_stream_goes_on_on_another_node_where_last_event_id_says(street: Street) -> None:
    one, two = await street.node(), await street.node()
    async with street.http.get(f"{one.addresses[0]}/events", params={"client": "ann"}) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        events = Events(answer)
        place = (await events.next())["id"]
        assert (await street.send(two, place, {"to_logic": "echo", "data": 1}))[0] == 202
        seen = await events.next()
        assert json.loads(seen["data"])["data"] == 1
    await eventually(lambda: "ann" not in one.runtime.hub)
    await _say(two, 2)
    async with street.http.get(f"{two.addresses[0]}/events", headers={"Last-Event-ID": seen["id"]}) as answer:
        events = Events(answer)
        assert json.loads((await events.next())["data"])["recovered"] is True
        assert json.loads((await events.next())["data"])["data"] == 2


async def _say(node: Node, data: Any) -> None:
    message = Message(to_client="ann", message_raw=json.dumps(data))
    await node.runtime.router.send(message, node.runtime.outlet())


async def test_e2_a_forged_token_sends_nothing_and_a_stranger_s_name_gives_nothing(street: Street) -> None:
    one, two = await street.node(), await street.node()
    place = (await street.poll(one, client="ann"))["next"]
    token = Place.read(place).session
    forged = str(Place("ann", ("y" if token[0] == "x" else "x") + token[1:], 0))
    for node in (one, two):
        status, document = await street.send(node, forged, {"to_logic": "echo", "data": 1})
        assert (status, document["code"]) == (401, "unauthorised")
        status, document = await street.send(node, str(Place("nobody", "s.e", 0)), {"to_logic": "echo", "data": 1})
        assert (status, document["code"]) == (409, "client_does_not_exist")
    assert (await street.send(two, place, {"to_logic": "echo", "data": 1}))[0] == 202


@pytest.mark.parametrize(
    ("frame", "status", "code"),
    [
        (b"{", 400, "frame_invalid"),
        (b'{"to_logic":"echo","data":"\xff"}', 400, "frame_invalid"),
        ({"to_logic": "nobody", "data": 1}, 404, "logic_does_not_exist"),
        ({"to_logic": "echo", "data": "x" * 2000}, 413, "too_big"),
        ({"to_group": "room", "data": 1}, 403, "group_not_allowed"),
    ],
)
async def test_r6_e8_what_is_wrong_is_a_problem_with_its_code_on_any_node(
    street: Street, frame: Any, status: int, code: str
) -> None:
    one, two = await street.node(max_frame=1000), await street.node(max_frame=1000)
    place = (await street.poll(one, client="ann"))["next"]
    for node in (one, two):
        got, document = await street.send(node, place, frame)
        assert (got, document["code"]) == (status, code)
        assert node.runtime.metrics.drops["too_big"] == (1 if status == 413 else 0)
    assert (await street.send(two, place, {"to_logic": "echo", "data": 1}))[0] == 202


async def test_e3_the_rate_of_a_client_is_one_for_all_nodes(street: Street) -> None:
    nodes = [await street.node(max_messages=0.1, message_burst=4) for _ in range(2)]
    place = (await street.poll(nodes[0], client="ann"))["next"]
    codes = [(await street.send(nodes[n % 2], place, {"to_logic": "echo", "data": n}))[0] for n in range(6)]
    assert codes == [202] * 4 + [429] * 2


async def test_e2_a_page_of_another_host_is_refused_unless_it_is_allowed(street: Street) -> None:
    shut, opened = await street.node(), await street.node(origins=("https://example.com",))
    page = {"Origin": "https://example.com"}
    async with street.http.get(f"{shut.addresses[0]}/poll", params={"client": "ann"}, headers=page) as answer:
        assert answer.status == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    async with street.http.options(f"{opened.addresses[0]}/send", headers=page) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]


async def test_c1_a_client_is_listed_between_polls_and_away_when_it_polls_no_more(street: Street) -> None:
    node = await street.node(ping_timeout=0.5)
    await street.poll(node, client="ann")
    assert "ann" in node.runtime.hub
    await eventually(lambda: "ann" not in node.runtime.hub)
    assert node.door.inside == 0


async def test_e7_a_node_that_stops_answers_polls_and_ends_streams_with_its_code(street: Street) -> None:
    node = await street.node(retry_spread=3)
    place = (await street.poll(node, client="ann"))["next"]
    waiting = asyncio.create_task(street.poll(node, after=place))
    async with street.http.get(f"{node.addresses[0]}/events", params={"client": "ben"}) as answer:
        events = Events(answer)
        await events.next()
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(node.stop())
        closed = await events.next()
        assert (closed["event"], json.loads(closed["data"])["code"]) == ("closed", CloseCode.GOING_AWAY)
        hint = json.loads(closed["data"])["retry_after"]
        assert (int(closed["retry"]), hint <= 3000) == (hint, True)
    answer = await waiting
    assert answer["closed"]["code"] == CloseCode.GOING_AWAY
    assert 0 <= answer["closed"]["retry_after"] <= 3000
    await asyncio.wait_for(stopping, 10)


async def test_e8_who_talks_on_a_stream_is_closed_and_a_slow_body_is_not_waited_for(street: Street) -> None:
    node = await street.node(handshake_timeout=0.5)
    place = (await street.poll(node, client="ann"))["next"]
    at = urlsplit(node.addresses[0])
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(b"GET /client/events?client=ben HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readuntil(b"welcome")
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert b'"code":1002' in await asyncio.wait_for(reader.read(), 5)
    writer.close()
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    head = f"POST /client/send HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\nGobroke-Session: {place}\r\n\r\n"
    writer.write(head.encode() + b"{")
    assert b" 408 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    assert node.runtime.metrics.drops["handshake_timeout"] == 1
    writer.close()


async def test_e4_a_reader_that_does_not_read_is_closed_and_costs_nobody_else_anything(street: Street) -> None:
    node = await street.node(outbox_bytes=100_000, channel_size=10)
    place = (await street.poll(node, client="ann"))["next"]
    at = urlsplit(node.addresses[0])
    reader, writer = await asyncio.open_connection(at.hostname, at.port, limit=1024)
    writer.write(b"GET /client/events?client=slow HTTP/1.1\r\nHost: h\r\n\r\n")
    session = await eventually(lambda: node.runtime.hub.get("slow"))
    await reader.readuntil(b"\r\n\r\n")
    for n in range(1000):
        await node.runtime.router.send(Message(to_client="slow", message_raw=b'"' + b"x" * 50_000 + b'"'), _out(node))
        if session.close_code is not None:
            break
        if n % 50 == 0:
            assert (await street.send(node, place, {"to_logic": "echo", "data": n}))[0] == 202
            place = (await street.poll(node, after=place))["next"]
    assert session.close_code is CloseCode.SLOW_CONSUMER
    assert session.pending == 0
    await eventually(lambda: "slow" not in node.runtime.hub, 8)
    writer.transport.abort()


def _out(node: Node) -> Any:
    return node.runtime.outlet()


async def test_c7_a_stream_whose_node_is_killed_goes_on_elsewhere_with_all_that_was_sent_meanwhile(
    street: Street,
) -> None:
    settings = street.settings
    environment = {"GOBROKE_REDIS_URL": str(settings.redis_url), "GOBROKE_PREFIX": settings.prefix}
    environment["GOBROKE_NODE_LEASE"] = "1.5"
    results: Any = None
    program = "tests.endpoints.http_program:broke"
    with (
        contextlib.suppress(AssertionError),  # it does not end well
        process("gobroke_dist.cli", "edge", program, says=r"http://\S+/client\s", **environment) as (one, said),
    ):
        found = re.search(r"http://[^\s,]+", said)
        assert found is not None
        two = await street.node()  # not before: starting a process holds this one up for longer than a lease
        seen, got = await _killed_under_a_stream(street, two, one, found[0])
        async with street.http.get(f"{two.addresses[0]}/events", headers={"Last-Event-ID": seen}) as answer:
            events = Events(answer)
            welcome = json.loads((await events.next())["data"])
            got += [json.loads((await events.next())["data"])["data"] for _ in range(10 - len(got))]
            results = (welcome["recovered"], got)
    assert results == (True, list(range(10)))


async def _killed_under_a_stream(street: Street, two: Node, one: Any, address: str) -> tuple[str, list[int]]:
    """The id of the last event that was read, and what was."""
    async with street.http.get(f"{address}/events", params={"client": "ann"}) as answer:
        events = Events(answer)
        await events.next()
        for n in range(5):
            await _say(two, n)
        first = await events.next()
        second = await events.next()
        one.send_signal(signal.SIGKILL)
    for n in range(5, 10):
        await _say(two, n)
    return second["id"], [json.loads(event["data"])["data"] for event in (first, second)]


class Ledger(LogicBase):
    """Keeps what it was told; all that a worker of this process was given."""

    logic_type = LogicType.WORKER

    def __init__(self) -> None:
        super().__init__("ledger")
        self.told: list[Any] = []

    async def run_logic(self, message: Message) -> None:
        self.told.append(message.json())


async def test_w12_a_post_that_is_repeated_to_another_node_counts_once(street: Street) -> None:
    ledger = Ledger()
    one, two = await street.node(Ledger()), await street.node(Ledger())
    broke = Broke(HTTPEndpoint(port=0), settings=street.settings.model_copy(update={"threads": 2}))
    broke.add_logic(ledger)
    async with worker(broke):
        place = (await street.poll(one, client="ann"))["next"]
        for n in range(3):
            frame = {"to_logic": "ledger", "data": n, "uuid": f"m{n}", "receipt": n == 2}
            for node in (one, two, two):
                status, document = await street.send(node, place, frame)
                assert (status, document["uuid"]) == (202, f"m{n}")
        states: list[str] = []
        while "done" not in states:
            answer = await street.poll(one, after=place)
            place = answer["next"]
            states += [frame["state"] for frame in answer["frames"] if frame["type"] == "receipt"]
        assert ledger.told == [0, 1, 2]


async def test_c8_while_redis_is_away_what_needs_it_is_503_and_later_it_is_not(street: Street, redis_url: str) -> None:
    two = await street.node(Ledger())
    async with Proxy(redis_url) as proxy:
        one = await street.node(Ledger(), redis_url=proxy.url, redis_timeout=0.5, node_lease=10)
        mine = (await street.poll(one, client="ann"))["next"]
        other = (await street.poll(two, client="ben"))["next"]
        stream = await street.stream(one, client="cleo")
        here = (await stream.next())["id"]
        proxy.refuse()
        ledger = {"to_logic": "ledger", "data": 1}
        for place, frame in ((mine, ledger), (other, {"to_logic": "echo", "data": 1})):
            status, document = await street.send(one, place, frame)
            assert (status, document["code"]) == (503, "redis_unavailable")
        status, headers, document = await street.ask(one, client="dan")
        assert (status, document["code"], int(headers["Retry-After"]) >= 1) == (503, "redis_unavailable", True)
        assert (await street.send(one, here, {"to_logic": "nobody", "data": 1}))[0] == 404  # it is served all the same
        proxy.heal()
        await eventually(lambda: _is_taken(street, one, mine, ledger))
        await eventually(lambda: _is_taken(street, one, other, {"to_logic": "echo", "data": 2}))
        assert (await street.poll(two, after=other))["frames"][0]["data"] == 2
        await eventually(lambda: _is_taken(street, one, here, {"to_logic": "echo", "data": 3}))
        assert (await stream.frame())["data"] == 3


async def _is_taken(street: Street, node: Node, place: str, frame: Any) -> bool:
    return (await street.send(node, place, frame))[0] == 202


async def test_c7_a_client_says_goodbye_by_way_of_any_node_and_is_not_waited_for(street: Street) -> None:
    """Also one that has no headers, as a page that is left: its place is in the query."""
    one, two = await street.node(), await street.node()
    place = (await street.poll(one, client="ann"))["next"]
    stream = await street.stream(one, client="ben")
    waiting = asyncio.create_task(street.poll(one, after=place))
    for shown in (place, (await stream.next())["id"]):
        where = f"{two.addresses[0]}/send"
        async with street.http.post(where, params={"after": shown}, data=b'{"close":1000}') as answer:
            assert answer.status == 202
    closed = await stream.next()
    assert (json.loads(closed["data"])["code"], int(closed["retry"])) == (CloseCode.NORMAL, 3_600_000)
    assert (await waiting)["closed"]["code"] == CloseCode.NORMAL
    assert "retry_after" not in (await waiting)["closed"]

    async def nobody() -> bool:
        with pytest.raises(ClientDoesNotExist):
            await _say(one, 1)
        return True

    await eventually(nobody)


async def test_e4_a_poll_is_told_of_a_gap_and_gets_what_was_dropped_by_coming_back(street: Street) -> None:
    node = await street.node(channel_size=5, slow_consumers="drop_oldest")
    first = await street.poll(node, client="ann")
    for n in range(9):
        await _say(node, n)
    answer = await street.poll(node, after=first["next"])
    gap, *messages = answer["frames"]
    assert gap == {"type": "gap", "dropped": 4}
    assert [frame["data"] for frame in messages] == [4, 5, 6, 7, 8]
    before = Place.read(first["next"])
    again = await street.poll(node, client="ann", session=before.session, offset=before.offset)
    assert again["frames"][0]["recovered"] is True
    assert [frame["data"] for frame in again["frames"][1:]] == list(range(9))


async def test_e6_a_client_that_polls_no_more_is_counted_as_one_that_does_not_answer(street: Street) -> None:
    node = await street.node(ping_timeout=0.3)
    await street.poll(node, client="ann")
    await eventually(lambda: node.runtime.metrics.counts["closed_ping_timeout"] == 1)
    await eventually(lambda: "ann" not in node.runtime.hub)


async def test_e6_a_stream_is_watched_by_the_kernel_and_says_something_in_each_interval(street: Street) -> None:
    node = await street.node(ping_interval=0.2, ping_timeout=1.5)
    at = urlsplit(node.addresses[0])
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(b"GET /client/events?client=ben HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readuntil(b"welcome")
    for _ in range(3):
        await asyncio.wait_for(reader.readuntil(b"\r\n:\n\n\r\n"), 2)
    session = node.runtime.hub.get("ben")
    assert session is not None
    link = cast(Any, node.endpoints[0])._server._links._links[session.id]
    raw = link._transport.get_extra_info("socket")
    assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500
    writer.close()


async def test_e8_a_thousand_polls_leave_nothing_behind(street: Street) -> None:
    node = await street.node(max_messages=0)
    place = (await street.poll(node, client="ann"))["next"]

    async def polls(times: int) -> None:
        nonlocal place
        for _ in range(times):
            await street.send(node, place, {"to_logic": "echo", "data": "x" * 1000})
            answer = await street.poll(node, after=place)
            assert len(answer["frames"]) == 1
            place = answer["next"]

    await polls(100)
    tracemalloc.start()
    try:
        await polls(100)
        before = _in_use()
        await polls(800)
        assert _in_use() - before < 200_000
    finally:
        tracemalloc.stop()


def _in_use() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def test_e8_who_polls_once_leaves_nothing_behind(street: Street) -> None:
    node = await street.node(ping_timeout=0.3)
    for n in range(100):
        place = (await street.poll(node, client=f"client-{n}", wait=0))["next"]
        await street.send(node, place, {"to_logic": "echo", "data": n})
    await eventually(lambda: len(node.runtime.hub) == 0)
    gc.collect()
    server = cast(Any, node.endpoints[0])._server
    assert (server._mailboxes, node.door.inside, len(node.posting._turns)) == ({}, 0, 0)
