"""The whole product at work: two edges, a worker and a scheduler, each with connections of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from endpoints import StubEndpoint
from gobroke_dist import Broke, Client, LogicBase, LogicType, Message, Settings, Tick
from gobroke_dist.cli.options import as_environment
from gobroke_dist.scheduler import firing
from tests.cluster.conftest import Cluster
from tests.eventually import eventually

COUNT = 30
_ROOT = Path(__file__).parents[2]


class Plain(LogicBase):
    """Sends back what it gets, from a thread."""

    logic_type = LogicType.WORKER
    order_by = "client"

    def run_logic(self, message: Message) -> None:
        self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class Coroutine(LogicBase):
    """The same, on the event loop."""

    logic_type = LogicType.WORKER
    order_by = "client"

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class Beat(LogicBase):
    """Tells everybody at each nominal time."""

    logic_type = LogicType.PASSIVE
    every = 0.2

    async def run_tick(self, tick: Tick) -> None:
        await self.send_message(Message(to_all=True, message_raw=b"beat"))


def logics() -> list[LogicBase]:
    """One set of them; each role has its own, as in a process of its own."""
    return [Plain("plain"), Coroutine("coroutine"), Beat("beat")]


broke = Broke(StubEndpoint())
for each in logics():
    broke.add_logic(each)


async def works(settings: Settings) -> None:
    """Registry, bus, queues, schedule and command line. Fails if any of it does not do what it does on one server."""
    async with AsyncExitStack() as stack:
        cluster = Cluster(settings, stack)
        one, two = await cluster.edge(*logics()), await cluster.edge(*logics())
        worker = await cluster.worker(*logics())
        ann = await one.stub.simulate_client_connection(Client(uuid="ann"))
        ben = await two.stub.simulate_client_connection(Client(uuid="ben"))

        everybody: list[Client] = await one.broke.get_all_clients()
        assert {client.uuid for client in everybody} == {"ann", "ben"}

        await one.stub.simulate_client_message(ann, [ben], b"from ann")
        assert (await two.stub.next_message(ben)).message_raw == b"from ann"

        sent = [str(number).encode() for number in range(COUNT)]
        for raw in sent:
            for logic in ("plain", "coroutine"):
                await one.stub.simulate_client_message(ann, [], raw, to_logic=logic)
        await eventually(lambda: len(one.stub.received(ann)) >= 2 * COUNT, within=15)
        for logic in ("plain", "coroutine"):
            assert [got.message_raw for got in one.stub.received(ann) if got.from_logic == logic] == sent

        await stack.enter_async_context(firing(worker, settings))
        await eventually(lambda: _beats(one.stub, ann) > 1 and _beats(two.stub, ben) > 1, within=10)

        status = await asyncio.to_thread(_status, settings)
        assert sorted(member["role"] for member in status["members"]) == ["edge", "edge", "scheduler", "worker"]
        assert status["clients"] == 2

        await one.broke.remove_client("ben")
        assert ben in two.stub.disconnected


def _beats(stub: StubEndpoint, client: Client) -> int:
    return sum(message.message_raw == b"beat" for message in stub.received(client))


def _status(settings: Settings) -> dict[str, Any]:
    """What ``gobroke status`` says, from a process that has the settings from its environment."""
    command = [sys.executable, "-m", "gobroke_dist.cli", "status", "tests.topologies.product:broke", "--json"]
    environment = {**os.environ, **as_environment(settings)}
    ran = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found
