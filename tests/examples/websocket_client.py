"""A client for tests: sends envelopes, and keeps what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.eventually import eventually


class WebSocketClient:
    """Args: an open socket. ``welcome`` is its first frame; ``frames`` are those after it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, welcome: dict[str, Any]) -> None:
        self.socket = socket
        self.welcome = welcome
        self.frames: list[dict[str, Any]] = []
        self.listening = asyncio.create_task(self._listen())

    async def send(self, to_logic: str, data: Any, uuid: str | None = None) -> None:
        """Send one envelope."""
        await self.socket.send_json({"to_logic": to_logic, "data": data} | ({"uuid": uuid} if uuid else {}))

    def data(self, kind: str | None = None) -> list[Any]:
        """The payloads that arrived, or those of one kind."""
        found = [frame["data"] for frame in self.frames if frame["type"] == "message"]
        return found if kind is None else [data for data in found if data["kind"] == kind]

    def numbered(self) -> list[tuple[int, str]]:
        """The chat's lines that were delivered: number and text, in the order of their arrival."""
        return [(data["line"]["number"], data["line"]["text"]) for data in self.data("said")]

    def online(self) -> list[tuple[str, str]]:
        """Name and node of everybody in the list of members that the chat showed last."""
        lists = self.data("online")
        return [(member["name"], member["node"]) for member in lists[-1]["members"]] if lists else []

    async def until(self, check: Callable[[], Any], within: float = 10) -> Any:
        """Wait until ``check`` returns something true."""
        return await eventually(check, within)

    async def enter(self, room: str, after: int = 0) -> list[dict[str, Any]]:
        """Join a room of the chat. Returns the lines that were missed."""
        before = len(self.data("history"))
        await self.send("join", {"room": room, "after": after})
        await self.until(lambda: len(self.data("history")) > before)
        lines: list[dict[str, Any]] = self.data("history")[-1]["lines"]
        return lines

    async def _listen(self) -> None:
        async for frame in self.socket:
            self.frames.append(frame.json())


@asynccontextmanager
async def connected(url: str, **query: str) -> AsyncIterator[WebSocketClient]:
    """A connected client, for as long as the block runs."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url, params=query) as socket:
        client = WebSocketClient(socket, await socket.receive_json(timeout=10))
        try:
            yield client
        finally:
            await socket.close()
            await client.listening
