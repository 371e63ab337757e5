"""A client of an in-memory cluster, as a test plays it."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

from gobroke_dist.message import Message
from gobroke_dist.session import CloseCode
from gobroke_dist.testing.clock import StoppedLoop
from gobroke_dist.testing.memory.edge import Line


class MemoryClient:
    """One connection. Frames are those of the JSON protocol, as dicts.

    Args:
        line: its connection to an edge.
        loop: whose time ``receive`` goes by.

    Attributes:
        frames: all that came, oldest first, the welcome included.
    """

    def __init__(self, line: Line, loop: StoppedLoop) -> None:
        self.frames: list[dict[str, Any]] = []
        self._line = line
        self._loop = loop
        self._unread: deque[dict[str, Any]] = deque()
        line.arrive = self._arrived

    def __repr__(self) -> str:
        return f"MemoryClient({self.uuid!r}, node={self.node!r}, {len(self.frames)} frames)"

    @property
    def uuid(self) -> str:
        """The client's."""
        return self._line.client.uuid

    @property
    def node(self) -> str:
        """The id of the edge that it is connected to."""
        return self._line.client.node

    @property
    def received(self) -> list[dict[str, Any]]:
        """The messages that came, oldest first, whether ``receive`` took them or not."""
        return [frame for frame in self.frames if frame["type"] == "message"]

    @property
    def errors(self) -> list[dict[str, Any]]:
        """The error frames that came, oldest first."""
        return [frame for frame in self.frames if frame["type"] == "error"]

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        return self._line.gone

    @property
    def close_code(self) -> CloseCode | None:
        """Why the edge closed it; None: it did not."""
        return self._line.close_code

    async def send(self, frame: dict[str, Any] | Message | bytes | str) -> None:
        """Put a frame on the line: a dict is written as JSON, text and bytes as they are, and a message skips the
        protocol. What comes of it is there after ``receive``, or after ``settle`` of the cluster.

        Raises:
            ConnectionError: the connection is gone.
        """
        if self._line.gone:
            raise ConnectionError(f"client {self.uuid!r} is not connected any more")
        if isinstance(frame, dict):
            frame = json.dumps(frame)
        self._line.put(frame.encode() if isinstance(frame, str) else frame)

    async def receive(self, within: float = 0.0) -> dict[str, Any]:
        """The next message or error that this call has not returned yet.

        Args:
            within: seconds that the cluster's clock may go on until it comes.

        Raises:
            AssertionError: nothing comes.
        """
        await self._loop.advance_until(lambda: bool(self._unread), within)
        if not self._unread:
            raise AssertionError(f"nothing came to {self.uuid!r}, {self._patience(within)}")
        return self._unread.popleft()

    async def expect(self, within: float = 0.0, **fields: Any) -> dict[str, Any]:
        """As ``receive``, for a frame that has these fields: ``await ann.expect(data="hello", from_logic="echo")``.

        Raises:
            AssertionError: nothing comes, or something else does.
        """
        frame = await self.receive(within)
        found = {name: frame.get(name) for name in fields}
        if found != fields:
            raise AssertionError(f"{self.uuid!r} was to get {fields}, and got {frame}")
        return frame

    async def expect_nothing(self, within: float = 0.0) -> None:
        """Raises ``AssertionError`` if something comes that ``receive`` has not returned yet."""
        if await self._loop.advance_until(lambda: bool(self._unread), within):
            raise AssertionError(f"{self.uuid!r} was to get nothing, and got {self._unread[0]}")

    def stop_reading(self) -> None:
        """What comes from now on waits on the edge, which sends a client away that lets too much of it wait."""
        self._line.reading = False

    def read_on(self) -> None:
        """Read what has waited, and all that comes."""
        self._line.read_on()

    async def close(self) -> None:
        """Leave. What the edge makes of it is done when this returns."""
        self._line.leave()
        await self._loop.settle()

    def _patience(self, within: float) -> str:
        if self.closed:
            return "and its connection is gone"
        return f"though the clock went on for {within:g} s" if within else "and the clock stood still; try within=..."

    def _arrived(self, data: bytes) -> None:
        frame: dict[str, Any] = json.loads(data)
        self.frames.append(frame)
        if frame["type"] != "welcome":
            self._unread.append(frame)
