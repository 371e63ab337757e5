"""The HTTP API over two edges and one real Redis: the client on one, the API on the other."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import pytest
from openapi_spec_validator import validate
from yarl import URL

from gobroke_dist import (
    Client,
    ClientDoesNotExist,
    DeadLetterDoesNotExist,
    LogicDoesNotExist,
    Settings,
    Unauthorised,
)
from gobroke_dist.cli.supervised import children
from gobroke_dist.errors import BrokeError, CallInvalid, CouldNotCreateServer, RateLimited
from gobroke_dist.ops import APIClient, AsyncAPIClient, problems
from gobroke_dist.ops.api_table import OPERATIONS
from gobroke_dist.ops.gate import Gate
from gobroke_dist.ops.openapi import document
from gobroke_dist.testing.faults.proxy import Proxy
from tests.cluster.conftest import Cluster
from tests.eventually import eventually
from tests.ops.conftest import TOKEN, Doomed, Oracle, Served


async def test_o4_send_broadcast_groups_list_and_disconnect(served: Served) -> None:
    """Each reaches a client of another node."""
    api, stub = served.api, served.other.stub
    client = await stub.simulate_client_connection()
    await api.join("room / ü", client.uuid)
    await api.send({"n": 1}, to_client=client.uuid)
    await api.broadcast("all")
    await api.send_to_group("room / ü", [3])
    await eventually(lambda: len(stub.received(client)) == 3, within=5)
    assert sorted(one.message_raw for one in stub.received(client)) == [b'"all"', b"[3]", b'{"n":1}']
    assert (await api.count_clients()).count == 1
    assert [one.uuid for one in (await api.list_clients()).clients] == [client.uuid]
    assert (await api.list_clients(node="nobody")).clients == []
    assert (await api.count_group("room / ü")).count == 1
    assert [one.uuid for one in (await api.list_group("room / ü")).clients] == [client.uuid]
    await api.leave("room / ü", client.uuid)
    assert (await api.count_group("room / ü")).count == 0
    assert (await api.get_client(client.uuid)).uuid == client.uuid
    await api.disconnect(client.uuid)
    with pytest.raises(ClientDoesNotExist):
        await api.get_client(client.uuid)


async def test_o4_the_blocking_client_has_the_same_calls(served: Served) -> None:
    """An answer comes back, and an error is the class that the API names, with its fields."""

    def work() -> str | None:
        with APIClient(served.url, f"{TOKEN}-2") as api:
            with pytest.raises(LogicDoesNotExist) as raised:
                api.send(1, to_logic="nobody")
            assert raised.value.logic == "nobody"
            return api.ask("why", to_logic="oracle").text

    assert await asyncio.to_thread(work) == '["why"]'


async def test_o4_w11_dead_letters_are_listed_shown_requeued_and_discarded(served: Served) -> None:
    """As the command line does it."""
    await served.cluster.worker(Oracle(), Doomed())
    sent = await served.api.send({"x": 1}, to_logic="doomed")

    async def one_is_dead() -> bool:
        return (await served.api.list_dead(queue="doomed")).total == 1

    await eventually(one_is_dead, within=10)
    [letter] = (await served.api.list_dead()).dead
    assert sent.uuid in json.dumps((await served.api.show_dead("doomed", letter.id)).message)
    assert (await served.api.requeue_dead("doomed", letter.id)).place in ("first", "last")
    await eventually(one_is_dead, within=10)
    [letter] = (await served.api.list_dead()).dead
    await served.api.discard_dead("doomed", letter.id)
    with pytest.raises(DeadLetterDoesNotExist):
        await served.api.discard_dead("doomed", letter.id)


async def test_o4_what_is_wrong_is_a_problem_document(served: Served) -> None:
    """With a code, whatever is wrong."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    asked = [
        ("GET", "/v1/nothing", None, 404),
        ("PATCH", "/v1/messages", None, 405),
        ("POST", "/v1/messages", b"{", 400),
        ("POST", "/v1/messages", b"{}", 400),
        ("POST", "/v1/messages", b'{"to_logic":["a"],"base64":"?"}', 400),
        ("POST", "/v1/messages", b'{"to_logic":["a"],"payload":NaN}', 400),
        ("POST", "/v1/messages", b"[" * 4000, 400),
        ("POST", "/v1/messages", b" " * 5000, 413),
        ("GET", "/v1/clients?limit=0", None, 400),
        ("GET", "/v1/clients?cursor=x", None, 400),
        ("GET", "/v1/clients/%ff", None, 400),
        ("PUT", "/v1/groups/%00/members/a", None, 422),
    ]
    async with aiohttp.ClientSession() as http:
        for method, path, body, status in asked:
            async with http.request(method, served.url + path, data=body, headers=headers) as answer:
                assert (path, answer.status) == (path, status)
                assert answer.content_type == "application/problem+json"
                assert set(await answer.json(content_type=None)) == {
                    "type",
                    "title",
                    "status",
                    "detail",
                    "code",
                    "facts",
                }
        async with http.get(f"{served.url}/v1/count") as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        async with http.get(f"{served.url}/openapi.json") as answer:
            assert await answer.json() == document()


async def test_o4_a_body_that_does_not_come_is_not_waited_for(redis_url: str, prefix: str) -> None:
    """408, and the connection is closed."""
    settings = Settings(
        redis_url=redis_url, prefix=prefix, drain_timeout=5, api_tokens=TOKEN, api_port=0, handshake_timeout=0.3
    )
    async with AsyncExitStack() as stack:
        edge = await Cluster(settings, stack).edge()
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(edge.node.api_address).port)
        head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode())
        try:
            answer = await asyncio.wait_for(reader.read(), 5)
        finally:
            writer.close()
        assert answer.startswith(b"HTTP/1.1 408 ")


async def test_e8_o4_what_no_parser_can_read_is_refused_and_no_error_of_the_edge(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is it repeated to who sent it. A second Content-Encoding behind a harmless one is seen as well."""
    port = urlsplit(served.url).port
    encoded = (
        f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        "Content-Encoding: identity\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"
    )
    for sent, status in ((b"\x16\x03\x01 <script>\r\n\r\n", b"400"), (encoded.encode(), b"415")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        assert answer.split(b" ", 2)[1] == status
        assert b"script" not in answer
        assert b"application/problem+json" in answer
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []
    assert served.edge.node.runtime.metrics.drops["api_call_invalid"] == 2


async def test_o4_c8_without_redis_and_while_draining_the_answer_is_503(redis_url: str, prefix: str) -> None:
    """With Retry-After, and the code that says which."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(redis_url))
        settings = Settings(
            redis_url=proxy.url, prefix=prefix, drain_timeout=1, api_tokens=TOKEN, api_port=0, redis_timeout=0.5
        )
        edge = await Cluster(settings, stack).edge(Doomed())
        http = await stack.enter_async_context(aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}))
        proxy.refuse()
        proxy.reset()
        for path in ("/v1/count", "/v1/dead", "/v1/clients/ann"):
            async with http.get(edge.node.api_address + path) as answer:
                assert (path, answer.status, answer.headers["Retry-After"]) == (path, 503, "1")
                assert (await answer.json(content_type=None))["code"] == "redis_unavailable"
        proxy.heal()
        async with AsyncAPIClient(edge.node.api_address, TOKEN) as api:
            await eventually(api.count_clients, within=10)
        edge.node.draining = True
        async with http.get(f"{edge.node.api_address}/v1/count") as answer:
            assert answer.status == 503
            assert (await answer.json(content_type=None))["code"] == "draining"


async def test_o4_an_edge_without_a_token_serves_no_api(redis_url: str, prefix: str) -> None:
    """It does not start, and says what to set."""
    settings = Settings(redis_url=redis_url, prefix=prefix, drain_timeout=5, api_port=0)
    async with AsyncExitStack() as stack:
        with pytest.raises(CouldNotCreateServer, match="GOBROKE_API_TOKENS"):
            await Cluster(settings, stack).edge()
    assert TOKEN not in repr(Settings(api_tokens=TOKEN))


async def test_o4_whatever_is_sent_is_answered_as_the_document_says(served: Served) -> None:
    """Bodies of any JSON under the names of the models' fields, and any query: no status that is not documented."""
    seeded = random.Random(5)
    values: list[Any] = [
        None,
        "",
        "ann",
        "\0",
        "x" * 300,
        0,
        -1,
        1e308,
        2**80,
        [],
        ["oracle"],
        [None],
        {},
        {"a": [1]},
        True,
    ]
    names = ["payload", "text", "base64", "metadata", "uuid", "to_client", "to_logic", "to_group", "limit", "cursor"]
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as http:
        for operation in OPERATIONS.values():
            said = document()["paths"][operation.path][operation.method.lower()]["responses"]
            for _ in range(25):
                path = re.sub(r"{\w+}", lambda _: quote(str(seeded.choice(values)) or "a", safe=""), operation.path)
                given = {name: seeded.choice(values) for name in seeded.sample(names, 3)}
                if operation.name == "ask":
                    given["timeout"] = 0.01
                body = None if operation.body is None else json.dumps(given)
                url = URL(f"{served.url}{path}?{urlencode(given)}", encoded=True)
                async with http.request(operation.method, url, data=body) as answer:
                    assert str(answer.status) in said, (operation.name, path, given)
                    assert answer.status != 500, (operation.name, path, given)


def test_o4_neither_a_worker_nor_the_blocking_client_imports_a_server() -> None:
    """Loading what a worker loads brings no HTTP server."""
    code = "import sys, gobroke_dist, gobroke_dist.ops.blocking_client; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0


def test_o4_edges_of_one_machine_have_ports_of_their_own() -> None:
    """They count up, as those of the endpoints do."""
    settings = Settings(api_port=8081, api_tokens=TOKEN)
    made = children("edge", "app:broke", settings, count=2)
    assert [child.environment["GOBROKE_API_PORT"] for child in made] == ["8081", "8082"]


def test_o4_the_document_is_openapi() -> None:
    """As the specification's own schema has it."""
    validate(document())


def test_o4_refused_attempts_are_throttled() -> None:
    """After ten an address is not looked at; another is, and the first again a second later."""
    now = [0.0]
    gate = Gate([TOKEN], lambda: now[0])
    for _ in range(10):
        with pytest.raises(Unauthorised):
            gate.require("192.0.2.1", "Bearer wrong")
    with pytest.raises(RateLimited):
        gate.require("192.0.2.1", f"Bearer {TOKEN}")
    gate.require("192.0.2.2", f"bearer {TOKEN}")
    now[0] = 1.0
    gate.require("192.0.2.1", f"Bearer {TOKEN}")


@pytest.mark.parametrize("error", [CallInvalid("x", status=413, field="a"), ClientDoesNotExist("u"), RateLimited(2.0)])
def test_o4_an_error_comes_back_as_it_was(error: BrokeError) -> None:
    """Class, text and fields."""
    back = problems.error_of(problems.problem(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


async def test_o4_lists_are_filtered_by_node_silence_and_metadata(served: Served) -> None:
    """Those of all clients, and those of a group."""
    stub, api = served.other.stub, served.api
    facts: dict[str, dict[str, Any]] = {"ann": {"plan": "gold", "age": 3}, "bob": {"plan": "gold"}, "cy": {}}
    for uuid, metadata in facts.items():
        await stub.simulate_client_connection(Client(uuid=uuid, metadata=metadata))
        await api.join("room", uuid)
    asked: list[tuple[dict[str, Any], set[str]]] = [
        ({"metadata": {"plan": "gold"}}, {"ann", "bob"}),
        ({"metadata": {"plan": "gold", "age": 3}}, {"ann"}),
        ({"metadata": {"age": "3"}}, set()),
        ({"metadata": {"age": None}}, set()),
        ({"metadata": {}}, {"ann", "bob", "cy"}),
        ({"node": served.other.node.runtime.node}, {"ann", "bob", "cy"}),
        ({"node": "nobody"}, set()),
        ({"idle": 60}, set()),
        ({"idle": 0}, {"ann", "bob", "cy"}),
    ]
    for query, there in asked:
        assert {one.uuid for one in (await api.list_clients(**query)).clients} == there, query
        assert {one.uuid for one in (await api.list_group("room", **query)).clients} == there, query
