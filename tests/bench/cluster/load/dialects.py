"""How the clients of each contestant speak."""

from __future__ import annotations

import json
from typing import Protocol


class Dialect(Protocol):
    """Frames are the payloads of WebSocket text frames."""

    def target(self, name: str) -> str:
        """The path to connect to. ``name``: what this client is to be called, by servers that let it choose."""
        ...

    def greeted(self, frame: bytes) -> tuple[str, bytes]:
        """What one of the first frames says: the client's address for others, empty if that is still to come; and
        what to answer, empty if nothing.
        """
        ...

    def to_one(self, address: str, text: str) -> bytes:
        """A message for one other client."""
        ...

    def to_all(self, text: str) -> bytes:
        """A message for everybody, the sender included."""
        ...

    def answer(self, frame: bytes) -> bytes | None:
        """What to say to a later frame that is no message; None: it should not have come."""
        ...


class Gobroke:
    """The JSON envelope."""

    def target(self, name: str) -> str:
        return f"/ws?client={name}"

    def greeted(self, frame: bytes) -> tuple[str, bytes]:
        return json.loads(frame)["client"], b""

    def to_one(self, address: str, text: str) -> bytes:
        return _json({"to_client": address, "data": text})

    def to_all(self, text: str) -> bytes:
        return _json({"to_logic": "everyone", "data": text})

    def answer(self, frame: bytes) -> bytes | None:
        return None


class SocketIO:
    """Engine.IO 4 over WebSocket alone, and Socket.IO 5 on it: 0 open, 2 ping, 3 pong, 40 connect, 42 event."""

    def target(self, name: str) -> str:
        return "/socket.io/?EIO=4&transport=websocket"

    def greeted(self, frame: bytes) -> tuple[str, bytes]:
        if frame.startswith(b"0"):
            return "", b"40"
        return json.loads(frame.removeprefix(b"40"))["sid"], b""

    def to_one(self, address: str, text: str) -> bytes:
        return b"42" + _json(["one", address, text])

    def to_all(self, text: str) -> bytes:
        return b"42" + _json(["all", text])

    def answer(self, frame: bytes) -> bytes | None:
        return b"3" if frame == b"2" else None


class Channels:
    """Our own server's: the first frame is the client's channel; then ``[channel or null, text]``."""

    def target(self, name: str) -> str:
        return "/ws"

    def greeted(self, frame: bytes) -> tuple[str, bytes]:
        return frame.decode(), b""

    def to_one(self, address: str, text: str) -> bytes:
        return _json([address, text])

    def to_all(self, text: str) -> bytes:
        return _json([None, text])

    def answer(self, frame: bytes) -> bytes | None:
        return None


DIALECTS: dict[str, type[Dialect]] = {"gobroke": Gobroke, "socketio": SocketIO, "channels": Channels}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
