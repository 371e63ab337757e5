"""gobroke_dist: a node as ``gobroke edge`` runs it. ``python -m … REDIS_URL``; it says its port when it is ready."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, LogicBase, LogicType, Message, Settings
from gobroke_dist.roles import run_edge
from tests.bench.cluster.answering import say
from tests.bench.contestants.roles import run


class Everyone(LogicBase):
    """Sends a client's message on to everybody."""

    name, logic_type = "everyone", LogicType.DISPATCHED

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_all=True, message_raw=message.message_raw))


def application(url: str) -> Broke:
    """With default settings, but for the limits on what one client and one address may do: here that is the load."""
    settings = Settings(redis_url=url, prefix="bench", max_messages=0, max_connects=0, max_connections_per_address=0)
    broke = Broke(WebSocketEndpoint(port=0), settings=settings)
    broke.add_logic(Everyone())
    return broke


if __name__ == "__main__":
    run(run_edge(application(sys.argv[1]), ready=lambda addresses: say(port=urlsplit(addresses[0]).port)))
