"""One scripted client of the chat."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import cycle, islice
from typing import Any
from uuid import uuid4

import aiohttp

from examples.demo.plan import Plan
from examples.demo.record import Record
from examples.demo.verdict import Received, Sent

ANSWER_TIMEOUT = 20.0  # seconds for a connection, and for an answer to a join
HURRIED = 10  # messages


class Person:
    """Connects, joins its rooms, says its share at its pace, and records what it gets.

    Args:
        plan: the run.
        number: which of its clients this is.
        record: where to.
    """

    def __init__(self, plan: Plan, number: int, record: Record) -> None:
        self.name = plan.who(number)
        self._plan = plan
        self._number = number
        self._record = record
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._joined: set[str] = set()
        self._joined_all = asyncio.Event()
        self._leaving = False

    async def connect(self, session: aiohttp.ClientSession, url: str) -> None:
        """Connect, and note the edge. Raises ``aiohttp.ClientError`` or ``TimeoutError``."""
        async with asyncio.timeout(ANSWER_TIMEOUT):
            self._socket = await session.ws_connect(url, params={"name": self.name})
            welcome = await self._socket.receive_json()
        self._record.nodes[self.name] = welcome["node"]

    async def join(self) -> None:
        """Enter all rooms; returns when each has answered. ``listen`` must be running. Raises ``TimeoutError``."""
        for room in self._rooms:
            await self._send("join", {"room": room})
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await self._joined_all.wait()

    async def listen(self) -> None:
        """Record everything that comes, until the connection ends."""
        assert self._socket is not None
        clock = asyncio.get_running_loop().time
        async for frame in self._socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                self._hear(frame.json(), clock())
        if not self._leaving:
            self._record.complaints.append(f"{self.name}: the connection ended with code {self._socket.close_code}")

    async def talk(self, hurry: asyncio.Event) -> None:
        """Say something in each room in turn, at an even pace; ``hurry`` makes the next ten due at once.

        The pace does not wait for answers, so a slow cluster can't make its own latencies look good; a message
        that is sent late counts from when it was due.
        """
        clock = asyncio.get_running_loop().time
        pause = self._plan.clients / self._plan.rate
        due = clock() + pause * self._number / self._plan.clients
        hurried = 0
        for turn, room in enumerate(islice(cycle(self._rooms), self._plan.share_of(self._number))):
            if hurried < HURRIED and await _either(hurry, due - clock()):
                hurried += 1
                due = clock()
            else:
                await asyncio.sleep(due - clock())
            await self._say(room, turn // len(self._rooms) + 1, due)
            due += pause

    async def leave(self) -> None:
        """Close the connection."""
        self._leaving = True
        if self._socket is not None:
            await self._socket.close()

    @property
    def _rooms(self) -> list[str]:
        return self._plan.rooms_of(self._number)

    async def _say(self, room: str, sequence: int, due: float) -> None:
        message = Sent(str(uuid4()), room, self.name, sequence, due)
        self._record.add_sent(message)
        await self._send("say", {"room": room, "text": f"{self.name} {sequence}"}, message.uuid)

    async def _send(self, logic: str, data: dict[str, Any], uuid: str | None = None) -> None:
        assert self._socket is not None
        with contextlib.suppress(ConnectionError):  # ``listen`` reports that; what could not be sent is lost
            await self._socket.send_json({"to_logic": logic, "data": data} | ({"uuid": uuid} if uuid else {}))

    def _hear(self, frame: dict[str, Any], now: float) -> None:
        if frame["type"] == "error":
            self._record.complaints.append(f"{self.name}: {frame['code']}: {frame['text']}")
        elif frame["type"] == "message" and frame["data"]["kind"] == "said":
            self._record.add_received(self._received(frame["data"], now))
        elif frame["type"] == "message" and frame["data"]["kind"] == "history":
            self._joined.add(frame["data"]["room"])
            if self._joined.issuperset(self._rooms):
                self._joined_all.set()

    def _received(self, said: dict[str, Any], now: float) -> Received:
        line, handled = said["line"], said["handled"]
        return Received(
            uuid=line["uuid"],
            room=said["room"],
            number=line["number"],
            receiver=self.name,
            at=now,
            worker=handled["worker"],
            attempt=handled["attempt"],
            recovered=handled["recovered"],
        )


async def _either(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, or for a time to pass. Returns whether it was the event."""
    try:
        await asyncio.wait_for(event.wait(), max(seconds, 0))
    except TimeoutError:
        return False
    return True
