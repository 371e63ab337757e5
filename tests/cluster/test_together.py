"""The seed's way to run: one object, one process, every role, and no Redis to set up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from endpoints import StubEndpoint
from gobroke_dist import Broke, Client, LogicBase, LogicType, Message, NotRunning, RedisUnavailable, Settings, Tick
from tests.eventually import eventually, eventually_sync


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="gb-") as folder:
        yield Path(folder)


class Broadcaster(LogicBase):
    """The seed's example, for either kind of logic."""

    async def run_logic(self, message: Message) -> None:
        everybody = await self.get_all_clients()
        await self.send_message(Message(to_client=everybody, message_raw=message.message_raw))


class Monitor(LogicBase):
    """The seed's PASSIVE example: sends away who is marked as idle."""

    logic_type = LogicType.PASSIVE
    every = 0.2

    async def run_tick(self, tick: Tick) -> None:
        for client in await self.get_all_clients():
            if client.get_metadata("idle"):
                await self.remove_client(client)


def application(data_dir: Path) -> tuple[Broke, StubEndpoint]:
    stub = StubEndpoint()
    broke = Broke(stub, channel_size=100, settings=Settings(data_dir=data_dir, threads=2))
    broke.add_logic(Broadcaster("inline", LogicType.DISPATCHED))
    broke.add_logic(Broadcaster("queued", LogicType.WORKER))
    broke.add_logic(Monitor())
    return broke, stub


async def test_a1_a2_one_process_runs_every_role_with_a_redis_of_its_own(data_dir: Path) -> None:
    """The documentation's example runs without anything set up; afterwards the application may run again."""
    broke, stub = application(data_dir)
    for _ in range(2):
        async with broke.running():
            ann = await stub.simulate_client_connection(Client(uuid="ann"))
            ben = Client(uuid="ben")
            await broke.register_client(ben)
            assert {client.uuid for client in await broke.get_all_clients()} == {"ann", "ben"}
            for kind in ("inline", "queued"):
                await stub.simulate_client_message(ann, [], kind.encode(), to_logic=kind)
                for client in (ann, ben):
                    assert (await stub.next_message(client, timeout=10)).message_raw == kind.encode()
            ben.add_metadata("idle", value=True)
            await eventually(lambda ben=ben: ben in stub.disconnected, within=10)
        with pytest.raises(NotRunning):
            broke.get_all_clients()
        stub.disconnected.clear()


PROGRAM = """
from endpoints import StubEndpoint
from gobroke_dist import Broke, LogicBase, LogicType, Settings, Tick

class Ready(LogicBase):
    logic_type = LogicType.PASSIVE
    every = 0.2
    def run_tick(self, tick: Tick) -> None:
        print("ticking", flush=True)

broke = Broke(StubEndpoint(), settings=Settings())
broke.add_logic(Ready())
broke.start()
print("ended", flush=True)
"""


def test_a2_start_blocks_until_sigterm(data_dir: Path) -> None:
    """The seed's Start: everything runs until the process is told to end, which it then does cleanly."""
    output = data_dir / "output"
    with output.open("w") as written:
        environment = {**os.environ, "GOBROKE_DATA_DIR": str(data_dir / "r"), "GOBROKE_THREADS": "1"}
        program = subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=written, stderr=written)
        try:
            eventually_sync(lambda: "ticking" in output.read_text() or program.poll() is not None, within=30)
            program.send_signal(signal.SIGTERM)
            assert program.wait(30) == 0, output.read_text()
        finally:
            program.kill()
            program.wait(10)
    assert output.read_text().splitlines()[-1] == "ended"


async def test_a_redis_that_cannot_be_reached_is_a_clear_error() -> None:
    """Nothing is half started: the error says where Redis was looked for, without the password."""
    broke = Broke(StubEndpoint(), redis="redis://:secret@127.0.0.1:1/0")
    with pytest.raises(RedisUnavailable, match=r"127\.0\.0\.1:1") as caught:
        async with broke.running():
            pass
    assert "secret" not in str(caught.value)
