"""An edge as ``gobroke edge`` runs it, set up by the environment: ``python -m tests.chaos.cluster.edge SOCKET PORT``.

It takes TCP at the port. Over the socket it tells what it counts and lists. If the environment says so, a guard is
taken out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from endpoints import TCPEndpoint, WebSocketEndpoint
from gobroke_dist import Broke, LogicBase, LogicType, Message, logs
from gobroke_dist.errors import BrokeError
from gobroke_dist.node import Node
from gobroke_dist.pauses import spare_what_stays
from gobroke_dist.roles import edge, until_signal
from tests.bench.contestants.roles import run
from tests.chaos.cluster.control import obeying
from tests.chaos.cluster.events import ACCEPTED, EVERYBODY
from tests.chaos.cluster.sabotage import carry_out


class Relay(LogicBase):
    """Sends what a client asks it to, to another or to everybody, and says whether that was accepted."""

    name, logic_type, concurrency = "relay", LogicType.DISPATCHED, 500

    async def run_logic(self, message: Message) -> None:
        order = message.json()
        try:
            await self.send_message(_addressed(order["to"], json.dumps(order["body"])))
        except BrokeError as error:
            await self.reply(message, error.code)
        else:
            await self.reply(message, ACCEPTED)


def _addressed(to: str, body: str) -> Message:
    if to == EVERYBODY:
        return Message(to_all=True, message_raw=body)
    return Message(to_client=to, message_raw=body)


class Telling:
    """What an edge tells of itself."""

    def __init__(self, node: Node) -> None:
        self._runtime = node.runtime

    async def counts(self) -> dict[str, dict[str, int]]:
        """What it has counted since its start."""
        return {"counts": self._runtime.metrics.counts, "drops": self._runtime.metrics.drops}

    async def listed(self, prefix: str) -> list[str] | None:
        """The clients of the cluster whose uuids begin so, as this edge lists them; None: it can't now."""
        try:
            clients = await self._runtime.operations.get_all_clients()
        except BrokeError:
            return None
        return [client.uuid for client in clients if client.uuid.startswith(prefix)]


async def main(socket: Path) -> None:
    """Run until SIGTERM."""
    broke = Broke([WebSocketEndpoint(), TCPEndpoint(port=int(sys.argv[2]))])
    broke.add_logic(Relay())
    logs.configure(broke.settings, role="edge")
    async with edge(broke) as node:
        spare_what_stays()
        telling = Telling(node)
        async with obeying(socket, counts=telling.counts, listed=telling.listed):
            print("the edge is ready", flush=True)
            await until_signal()


if __name__ == "__main__":
    carry_out()
    run(main(Path(sys.argv[1])))
