"""The asyncio client at a real edge, through connections that break (contract C7, C11)."""

from __future__ import annotations

import asyncio

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, LogicBase, Message, Settings
from gobroke_dist.connection import Connection, Lost, Opened, Options, Received
from gobroke_dist.roles import edge
from gobroke_dist.testing.faults import Proxy


class Twice(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.reply(message, message.json() * 2)


async def test_c7_c11_it_asks_is_asked_and_comes_back_with_what_it_missed(redis_url: str, prefix: str) -> None:
    """Through a connection that is reset; what is sent meanwhile comes once, and it can ask again."""
    broke = Broke(WebSocketEndpoint(port=0), settings=Settings(redis_url=redis_url, prefix=prefix))
    broke.add_logic(Twice())
    async with edge(broke) as node, Proxy(node.addresses[0]) as proxy:
        broke._operations = node.runtime.operations
        async with Connection(proxy.url, client="ann", options=Options(first_wait=0.1)) as ann, asyncio.timeout(10):
            events = aiter(ann)
            assert isinstance(await anext(events), Opened)
            assert await ann.request(21, to_logic="twice") == 42
            proxy.reset()
            assert isinstance(await anext(events), Lost)
            await broke.send_message(Message(to_client="ann", message_raw=b'"missed"'))
            opened, missed = await anext(events), await anext(events)
            assert isinstance(opened, Opened)
            assert opened.recovered
            assert isinstance(missed, Received)
            assert missed.data == "missed"
            assert await ann.request(4, to_logic="twice") == 8
