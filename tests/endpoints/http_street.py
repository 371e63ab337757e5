"""Nodes with an HTTP endpoint on one Redis, and clients whose requests go to whichever of them."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

from aiohttp import ClientResponse, ClientSession

from endpoints import HTTPEndpoint
from gobroke_dist import Authenticator, Broke, LogicBase, Message, Settings
from gobroke_dist.node import Node
from gobroke_dist.roles import edge


class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class Street:
    """Nodes on one Redis, and a browser's worth of requests."""

    def __init__(self, settings: Settings, stack: AsyncExitStack, http: ClientSession) -> None:
        self.settings = settings
        self.http = http
        self._stack = stack

    async def node(
        self,
        *logics: LogicBase,
        origins: tuple[str, ...] | None = None,
        authenticator: Authenticator | None = None,
        **changes: Any,
    ) -> Node:
        broke = Broke(
            HTTPEndpoint(port=0, origins=origins),
            authenticator=authenticator,
            settings=self.settings.model_copy(update=changes),
        )
        for logic in (Echo(), *logics):
            broke.add_logic(logic)
        return await self._stack.enter_async_context(edge(broke))

    async def ask(self, node: Node, *, headers: dict[str, str] | None = None, **query: Any) -> tuple[int, Any, Any]:
        """A poll: the status, the headers and the document of the answer, whatever it is."""
        async with self.http.get(f"{node.addresses[0]}/poll", params=query, headers=headers) as answer:
            return answer.status, answer.headers, json.loads(await answer.read())

    async def poll(self, node: Node, **query: Any) -> dict[str, Any]:
        """A poll that is answered well."""
        status, _, document = await self.ask(node, **query)
        assert status == 200, document
        return dict(document)

    async def send(self, node: Node, place: str, frame: Any) -> tuple[int, dict[str, Any]]:
        """A POST: the status and the document of the answer."""
        raw = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
        async with self.http.post(f"{node.addresses[0]}/send", data=raw, headers={"Gobroke-Session": place}) as answer:
            return answer.status, json.loads(await answer.read())

    async def stream(self, node: Node, *, headers: dict[str, str] | None = None, **query: Any) -> Events:
        """A stream, to the end of the test."""
        answer = await self.http.get(f"{node.addresses[0]}/events", params=query, headers=headers)
        self._stack.callback(answer.close)
        return Events(answer)


class Events:
    """Reads a stream."""

    def __init__(self, answer: ClientResponse) -> None:
        self._answer = answer

    async def next(self, within: float = 5) -> dict[str, str]:
        """The next event that has data; what was said before it counts for it, too."""
        event: dict[str, str] = {}
        async with asyncio.timeout(within):
            while True:
                line = (await self._answer.content.readline()).decode()
                if not line:
                    raise EOFError(f"the stream has ended, after {event} and status {self._answer.status}")
                if line == "\n" and "data" in event:
                    return event
                name, _, value = line.rstrip("\n").partition(": ")
                if name and value:
                    event[name] = value

    async def frame(self, within: float = 5) -> dict[str, Any]:
        """The frame in the next event."""
        return dict(json.loads((await self.next(within))["data"]))

    async def rest(self) -> bytes:
        """What is left, to the end of the stream."""
        return await self._answer.content.read()
