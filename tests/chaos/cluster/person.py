"""A client as the documentation wants it: it remembers where it was, and comes back to any edge."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.chaos.cluster.events import ACCEPTED, DONT_RETURN, EVERYBODY, Ended, Event, Got, Sent, Welcomed
from tests.chaos.cluster.wires import Hello, Wire

_PAUSES = (0.05, 1.0)
_PATIENCE = (4.0, 8.0)  # for a welcome: an edge that is frozen lets itself be connected to
_ANSWER = 12.0
_GIVE_UP = 15.0


class _Frame(msgspec.Struct):
    type: str
    uuid: str = ""
    data: Any = None
    offset: int = 0
    session: str = ""
    recovered: bool = False
    code: str = ""


_decoder = msgspec.json.Decoder(_Frame)


class Person:
    """One client that may come back.

    Args:
        name: its uuid.
        kind: how it reaches an edge.
        ports: of the edges, for this kind.
        home: the place in ``ports`` of the edge that it connects to first.
        journal: gets what happens to it.
        seed: of its choices.

    Attributes:
        place: the place in ``ports`` of the edge that it is on; None: on none.
        turned_away: the close code after which it must not come back; 0: none.
    """

    def __init__(
        self, name: str, kind: type[Wire], ports: Sequence[int], home: int, journal: list[Event], seed: str
    ) -> None:
        self.name = name
        self.place: int | None = None
        self.turned_away = 0
        self._kind = kind
        self._ports = ports
        self._home = home
        self._next: int | None = home
        self._journal = journal
        self._dice = random.Random(seed)
        self._token = ""
        self._offset = 0
        self._number = 0
        self._wire: Wire | None = None
        self._since = 0.0
        self._connected = asyncio.Event()
        self._over = asyncio.Event()
        self._absent_until = 0.0
        self._asked: dict[str, asyncio.Future[str]] = {}

    # --- being connected -------------------------------------------------------

    async def run(self) -> None:
        """Connect, and come back, until it is told not to or this is cancelled."""
        pause = _PAUSES[0]
        try:
            while not self.turned_away:
                await asyncio.sleep(max(self._absent_until - time.monotonic(), pause * self._dice.random()))
                if await self._connect(self._choose()):
                    pause = _PAUSES[0]
                    await self._over.wait()
                else:
                    pause = min(pause * 2, _PAUSES[1])
        finally:
            self.lose()

    @property
    def welcome_at(self) -> int | None:
        """The place of the edge that has welcomed it; None: it is on none, or not let in yet."""
        return self.place if self._connected.is_set() else None

    async def connected(self) -> None:
        """Return when it is."""
        await self._connected.wait()

    def lose(self, *, absent: float = 0.0, to: int | None = None) -> None:
        """Lose the connection now.

        Args:
            absent: seconds before it tries to come back.
            to: the place that it comes back to; None: any.
        """
        self._absent_until, self._next = time.monotonic() + absent, to
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.drop()
            self._leave()

    def go_home(self) -> None:
        """Connect to the first edge again, if it is on another."""
        if self.place != self._home:
            self.lose(to=self._home)

    def _choose(self) -> int:
        place, self._next = self._next, None
        return self._dice.randrange(len(self._ports)) if place is None else place

    async def _connect(self, place: int) -> bool:
        self._over.clear()
        self._since = time.monotonic()
        hello = Hello(self.name, True, self._token, self._offset)
        try:
            async with asyncio.timeout(self._dice.uniform(*_PATIENCE)):
                await asyncio.get_running_loop().create_connection(
                    lambda: self._begin(hello), "127.0.0.1", self._ports[place]
                )
                self.place = place
                await self._connected_or_over()
        except (OSError, TimeoutError):
            self.lose()
        return self._connected.is_set()

    def _begin(self, hello: Hello) -> Wire:
        self._wire = self._kind(hello, self)
        return self._wire

    async def _connected_or_over(self) -> None:
        waiting = {asyncio.ensure_future(one.wait()) for one in (self._connected, self._over)}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    def _leave(self) -> None:
        self.place = None
        self._connected.clear()
        self._over.set()
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            if not answer.done():
                answer.set_result("connection lost")

    # --- what comes ------------------------------------------------------------

    def frame(self, wire: Wire, payload: bytes) -> None:
        if wire is not self._wire:
            return
        frame = _decoder.decode(payload)
        match frame.type:
            case "message":
                self._got(frame)
            case "reply":
                self._answered(frame.uuid, str(frame.data))
            case "error":
                self._answered(frame.uuid, frame.code)
            case "welcome":
                self._welcomed(frame)

    def ended(self, wire: Wire, code: int) -> None:
        if wire is not self._wire:
            return
        self._wire = None
        self._journal.append(Ended(self.name, time.monotonic(), code, self._connected.is_set()))
        if code >= DONT_RETURN:
            self.turned_away = code
        self._leave()

    def _welcomed(self, frame: _Frame) -> None:
        self._journal.append(Welcomed(self.name, time.monotonic(), bool(self._token), frame.recovered))
        self._token = frame.session
        if not frame.recovered:
            self._offset = frame.offset
        self._connected.set()

    def _got(self, frame: _Frame) -> None:
        sender, number, began = frame.data
        new = frame.offset > self._offset
        self._offset = max(self._offset, frame.offset)
        late = began < self._since
        self._journal.append(Got(self.name, sender, number, time.monotonic(), new, late))

    def _answered(self, uuid: str, outcome: str) -> None:
        answer = self._asked.pop(uuid, None)
        if answer is not None and not answer.done():
            answer.set_result(outcome)

    # --- sending ---------------------------------------------------------------

    async def send(self, to: str) -> bool:
        """Send the next message, and wait until it is known whether it was accepted. Returns whether it was."""
        await self.connected()
        self._number += 1
        number, began = self._number, time.monotonic()
        outcome = "given up"
        try:
            outcome = await self._ask(f"{self.name}-{number}", {"to": to, "body": [self.name, number, began]})
        finally:
            self._journal.append(Sent(self.name, number, to, began, time.monotonic(), outcome))
        return outcome == ACCEPTED

    async def talk(self, friends: Sequence[str], *, burst: int, pause: float) -> None:
        """Send so many messages to one of them, one right after the other; rest; and again, until cancelled."""
        await asyncio.sleep(pause * self._dice.random())
        while True:
            to = self._dice.choice(friends)
            for _ in range(1 if to == EVERYBODY else burst):
                await self.send(to)
            await asyncio.sleep(pause * self._dice.uniform(0.5, 1.5))

    async def _ask(self, uuid: str, data: dict[str, Any]) -> str:
        assert self._wire is not None
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[uuid] = answer
        frame = {"to_logic": "relay", "data": data, "uuid": uuid, "ask": _ANSWER}
        self._wire.send(json.dumps(frame, separators=(",", ":")).encode())
        try:
            async with asyncio.timeout(_GIVE_UP):
                return await answer
        except TimeoutError:
            self.lose()
            return "no answer"
        finally:
            self._asked.pop(uuid, None)


class Mortal:
    """A client that does not come back.

    Args:
        name: its uuid.
        kind: how it reaches an edge.
        port: of the edge.
    """

    def __init__(self, name: str, kind: type[Wire], port: int) -> None:
        self.name = name
        self._kind = kind
        self._port = port
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wire: Wire | None = None

    async def connect(self) -> None:
        """Return when it is welcome. Raises ``TimeoutError``, ``ConnectionError``."""
        loop = asyncio.get_running_loop()
        hello = Hello(self.name, False)
        async with asyncio.timeout(_GIVE_UP):
            _, self._wire = await loop.create_connection(lambda: self._kind(hello, self), "127.0.0.1", self._port)
            await self._greeted

    def lose(self) -> None:
        """Lose the connection."""
        if self._wire is not None:
            with contextlib.suppress(OSError):
                self._wire.drop()

    def frame(self, wire: Wire, payload: bytes) -> None:
        if not self._greeted.done():
            self._greeted.set_result(None)

    def ended(self, wire: Wire, code: int) -> None:
        self._wire = None
        if not self._greeted.done():
            self._greeted.set_exception(ConnectionError(f"closed with {code}"))
