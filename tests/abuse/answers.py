"""What an input is answered with, and the table's rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Literal, NamedTuple, TypeAlias

from gobroke_dist.session import CloseCode


class Answer(NamedTuple):
    """One of the ways in which something ends. ``code`` says more: a close code, an HTTP status, an error's code."""

    kind: Literal["close", "http", "error", "served", "cut", "nothing"]
    code: int | str = ""
    error: str = ""

    def __str__(self) -> str:
        """As the reference prints it."""
        match self.kind:
            case "close":
                return f"closed with {int(self.code)} `{CloseCode(int(self.code)).name}`"
            case "http":
                return f"HTTP {self.code}" + (f" `{self.error}`" if self.error else "")
            case "error":
                return f"error frame `{self.code}`, and the connection goes on"
            case "served":
                return "served: it does no harm"
            case "cut":
                return "the connection is cut"
            case _:
                return f"nothing, {self.code}"


SERVED = Answer("served")
CUT = Answer("cut")


def closed(code: CloseCode) -> Answer:
    """The connection is closed with this code."""
    return Answer("close", int(code))


def http(status: int, error: str = "") -> Answer:
    """A request is answered with this status, and with the error's code, if it has a problem document."""
    return Answer("http", status, error)


def error(code: str) -> Answer:
    """An error frame; what follows it is served."""
    return Answer("error", code)


class Way(StrEnum):
    """Over what an input comes. Those of a client come after it was let in; the others are all that a socket sends."""

    UPGRADE = "WebSocket, from the first byte"
    WEBSOCKET = "WebSocket, by a client"
    SILENT = "WebSocket, by a client that answers no ping"
    FRAME = "WebSocket, as a text frame"
    TCP_FIRST = "TCP, from the first byte"
    TCP = "TCP, by a client"
    TCP_SILENT = "TCP, by a client that answers no ping"
    TCP_FRAME = "TCP, as a frame"
    LINES_FIRST = "TCP by lines, from the first byte"
    LINES = "TCP by lines, by a client"
    LINE_FRAME = "TCP by lines, as a line"
    HTTP = "HTTP, from the first byte"
    POST = "HTTP, as the body of a POST by a client"
    TLS = "TCP over TLS, from the first byte"
    WSS = "WebSocket over TLS, from the first byte"
    TOKEN = "WebSocket, as `Authorization`"
    TOKEN_HELLO = "TCP, in the hello"
    TOKEN_POLL = "HTTP, with a poll"
    CROWD = "WebSocket, by a crowd from one address"


class Mark(Enum):
    """What is done with a socket besides sending."""

    END = "half of it is closed: nothing more is sent"
    RESET = "it is reset"


Part: TypeAlias = bytes | float | Mark
"""What is sent; or for how many seconds nothing is; or what else is done."""

Sent: TypeAlias = bytes | Callable[[], Iterable[Part]]


@dataclass(frozen=True, slots=True)
class Row:
    """One hostile input.

    Attributes:
        what: it is, in words.
        sent: the bytes; or which, over which way.
        answers: to it, by the ways that it comes.
    """

    what: str
    sent: Sent | Mapping[Way, Sent]
    answers: Mapping[Way, Answer]

    def parts(self, way: Way) -> Iterable[Part]:
        """What is sent over one of them."""
        sent = self.sent[way] if isinstance(self.sent, Mapping) else self.sent
        return [sent] if isinstance(sent, bytes) else sent()
