"""A client's connection as a state machine: no socket, no event loop, and the time is an argument. ::

    CONNECTING ──welcome──▶ OPEN ──broken──▶ WAITING ──tick──▶ CONNECTING
         └─────────broken──────────────────────▲

``close()`` and codes that say not to come back lead to CLOSED from everywhere. Each call leaves effects in ``effects``;
the caller carries them out in order, and calls ``tick`` when ``deadline`` has come.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from gobroke_dist.connection.events import (
    BufferFull,
    ConnectionEnded,
    ConnectionFailure,
    ConnectionLost,
    ConnectionState,
    Ended,
    Event,
    Gap,
    Lost,
    MessageRefused,
    Opened,
    Receipt,
    Received,
    Refused,
    TimedOut,
)

RETRY_CODES: Final = frozenset(("unavailable", "redis_unavailable", "queue_full", "rate_limited", "draining"))
MAX_DELIVERY: Final = 240.0
"""Seconds in which a message is sent again, safely below the 5 minutes in which a server knows its uuid."""

_COME_BACK: Final = frozenset((None, 1001, 1005, 1006, 1011, 1012, 1013))
_ALREADY_CONNECTED: Final = 4501
_GHOST: Final = 60.0
"""Seconds in which it is our own last connection that an edge still believes in."""
_STABLE: Final = 5.0
_AGAIN: Final = 1.0
_LONGEST_HINT: Final = 300.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a connection behaves. Times are seconds.

    Attributes:
        recover: whether the server keeps what is sent to the client while it is away.
        first_wait: before the first try to come back: a random time up to it, doubled with each try.
        longest_wait: what it is doubled up to.
        connect_timeout: from a try to the welcome.
        max_buffered: messages that may wait for a connection or a receipt.
        max_buffered_bytes: their size together.
        refresh_before: how long before the end of a token a newer one is shown.
    """

    recover: bool = True
    first_wait: float = 0.5
    longest_wait: float = 30.0
    connect_timeout: float = 10.0
    max_buffered: int = 1000
    max_buffered_bytes: int = 1 << 20
    refresh_before: float = 30.0


@dataclass(frozen=True, slots=True)
class Dial:
    """Get a token, if there is a provider, and connect with this query."""

    query: dict[str, str]


@dataclass(frozen=True, slots=True)
class Write:
    """Send this text."""

    text: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the socket; with 1001 the server waits for the client to come back."""

    code: int


@dataclass(frozen=True, slots=True)
class FetchToken:
    """Get a token, and hand it to ``refresh``; without one, ``not_refreshed``."""


@dataclass(frozen=True, slots=True)
class Tell:
    """An event for the application."""

    event: Event


@dataclass(frozen=True, slots=True)
class Settle:
    """What somebody has waited for: an answer's frame, a receipt, or an error."""

    uuid: str
    outcome: dict[str, Any] | Receipt | ConnectionFailure


Effect = Dial | Write | HangUp | FetchToken | Tell | Settle


@dataclass(slots=True)
class _Waiting:
    text: str
    kind: str  # send, request, accepted or done: what it waits for
    until: float
    again: float | None = None
    sent: bool = False
    accepted: bool = False


class Machine:
    """The life of a client over any number of connections.

    Args:
        options: see there.
        client: its uuid, or None if its token or the server names it.
        chance: a random number from 0 to 1.
    """

    def __init__(self, options: Options, *, client: str | None, chance: Callable[[], float]) -> None:
        self.options = options
        self.client = client
        self.state = ConnectionState.WAITING
        self.effects: deque[Effect] = deque()
        self.dialled = 0
        self.offset = 0
        self._chance = chance
        self._session = ""
        self._seen = False
        self._tries = 0
        self._hint: float | None = None
        self._whole_since = 0  # the first connection that could be followed by others without a loss
        self._opened_at = 0.0
        self._ghost_until = 0.0
        self._wake: float | None = None  # to dial, or to give up the try
        self._refresh_at: float | None = None
        self._refreshing = ""
        self._waiting: dict[str, _Waiting] = {}
        self._bytes = 0

    # --- time ----------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        """When to call ``tick``."""
        times = [one.until for one in self._waiting.values()]
        times += [one.again for one in self._waiting.values() if one.again is not None]
        times += [one for one in (self._wake, self._refresh_at) if one is not None]
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """The time has come for something."""
        for uuid, one in tuple(self._waiting.items()):
            if one.until <= now:
                self._settle(uuid, TimedOut(uuid, accepted=one.accepted))
            elif one.again is not None and one.again <= now and self.state is ConnectionState.OPEN:
                self._write(uuid, one)
        if self._refresh_at is not None and self._refresh_at <= now:
            self._refresh_at = None
            self.effects.append(FetchToken())
        if self._wake is not None and self._wake <= now:
            if self.state is ConnectionState.WAITING:
                self._dial(now)
            else:
                self.effects.append(HangUp(1001))
                self.broken(None, "no welcome came in time", now)

    # --- the connection ------------------------------------------------------

    def start(self, now: float) -> None:
        """Connect."""
        self._dial(now)

    def connected(self, now: float) -> None:
        """The socket is open; the welcome is to come."""
        self._ghost_until = now + _GHOST

    def broken(self, code: int | None, reason: str, now: float, *, retry_after: float = 0.0) -> None:
        """The socket is gone, or there was none."""
        if self.state in (ConnectionState.WAITING, ConnectionState.CLOSED):
            return
        if self.state is ConnectionState.OPEN:
            self._ghost_until = now + _GHOST
            if now - self._opened_at >= _STABLE:
                self._tries = 0
        if not self._comes_back(code, now):
            self._end(code, reason)
            return
        self._refresh_at, self._refreshing = None, ""
        for uuid, one in tuple(self._waiting.items()):
            if one.kind == "request" and one.sent:
                self._settle(uuid, ConnectionLost(f"the connection broke; whether {uuid} was handled is not known"))
            else:
                one.sent = False
        self.state = ConnectionState.WAITING
        wait = self._wait(retry_after) if self._hint is None else self._hint
        self._hint = None
        self._wake = now + wait
        self.effects.append(Tell(Lost(code, reason, wait)))

    def refused(self, reason: str) -> None:
        """The server has answered the handshake in a way that would be the same again."""
        self._end(None, reason)

    def close(self) -> None:
        """Say goodbye for good. What waits is given up."""
        if self.state is not ConnectionState.CLOSED:
            self.effects.append(HangUp(1000))
            self._end(1000, "closed by the application")

    def come_back(self, gap: Gap, now: float) -> bool:
        """Give up the connection, and come back with the offset before a gap. False: it would bring nothing."""
        if self.state is ConnectionState.CLOSED or not self._session or gap.dialled < self._whole_since:
            return False
        self.offset = min(self.offset, gap.offset)
        if self.state is not ConnectionState.WAITING:
            self.effects.append(HangUp(1001))
            self.broken(None, "coming back for what was dropped", now)
        return True

    def _comes_back(self, code: int | None, now: float) -> bool:
        if code == _ALREADY_CONNECTED:
            return now < self._ghost_until
        return code in _COME_BACK or (code is not None and 4000 <= code < 4500)

    def _wait(self, at_least: float) -> float:
        most = min(self.options.longest_wait, self.options.first_wait * 2.0 ** min(self._tries, 60))
        self._tries += 1
        return min(at_least, _LONGEST_HINT) + self._chance() * most

    def _dial(self, now: float) -> None:
        self.state = ConnectionState.CONNECTING
        self.dialled += 1
        self._wake = now + self.options.connect_timeout
        query = {} if self.client is None else {"client": self.client}
        if self._session:
            query |= {"session": self._session, "offset": str(self.offset)}
        elif self.options.recover:
            query["recover"] = "1"
        self.effects.append(Dial(query))

    def _end(self, code: int | None, reason: str) -> None:
        self.state = ConnectionState.CLOSED
        self._wake = self._refresh_at = None
        for uuid in tuple(self._waiting):
            self._settle(uuid, ConnectionEnded(f"the connection has ended: {reason or code}"))
        self.effects.append(Tell(Ended(code, reason)))

    # --- the token -----------------------------------------------------------

    def expires(self, in_seconds: float | None, now: float) -> None:
        """How long the token that is in use is good for. None: for ever, or nobody knows."""
        if in_seconds is not None:
            early = min(self.options.refresh_before, in_seconds / 2)
            self._refresh_at = now + max(in_seconds - early, _AGAIN)

    def refresh(self, token: str, uuid: str) -> None:
        """Show a newer token on the connection that there is; without one it is shown at the next."""
        if self.state is ConnectionState.OPEN:
            self._refreshing = uuid
            self.effects.append(Write(json.dumps({"token": token, "uuid": uuid})))

    def not_refreshed(self, now: float) -> None:
        """There is no newer token yet. The server closes with 4004 if there is none in time."""
        if self.state is ConnectionState.OPEN:
            self._refresh_at = now + 5 * _AGAIN

    # --- out -----------------------------------------------------------------

    def put(self, frame: dict[str, Any], uuid: str, *, kind: str, until: float) -> None:
        """Send a frame, now or when there is a connection.

        Args:
            frame: as ``docs/reference/frames.md`` has it.
            uuid: the message's, under which ``Settle`` tells of it.
            kind: ``send``: at most once. ``request``: at most once, and settled when the connection breaks.
                ``accepted``, ``done``: with a receipt, sent again with the same uuid until that is so.
            until: when to give up.

        Raises:
            BufferFull: too much waits.
            ConnectionEnded: there will be no connection.
            ValueError: the uuid is in use, or the data is no JSON.
        """
        if self.state is ConnectionState.CLOSED:
            raise ConnectionEnded("the connection has ended")
        text = json.dumps({**frame, "uuid": uuid}, allow_nan=False)
        if kind == "send" and self.state is ConnectionState.OPEN:
            self.effects.append(Write(text))
            return
        if uuid in self._waiting:
            raise ValueError(f"a message with the uuid {uuid} waits already")
        full = len(self._waiting) >= self.options.max_buffered
        if full or self._bytes + len(text) > self.options.max_buffered_bytes:
            raise BufferFull(f"{len(self._waiting)} messages ({self._bytes} bytes) wait; send this one later")
        one = self._waiting[uuid] = _Waiting(text, kind, until)
        self._bytes += len(text)
        if self.state is ConnectionState.OPEN:
            self._write(uuid, one)

    def answer(self, reply_to: str, data: Any, dialled: int) -> None:
        """Answer a request. Raises ``ConnectionLost`` if the connection that brought it is gone."""
        if self.state is not ConnectionState.OPEN or dialled != self.dialled:
            raise ConnectionLost("the connection that brought the request is gone, and no other can answer it")
        self.effects.append(Write(json.dumps({"reply": reply_to, "data": data}, allow_nan=False)))

    def give_up(self, uuid: str) -> None:
        """Nobody waits for this any more."""
        self._forget(uuid)

    def _write(self, uuid: str, one: _Waiting) -> None:
        one.again, one.sent = None, True
        self.effects.append(Write(one.text))
        if one.kind == "send":
            self._forget(uuid)

    def _settle(self, uuid: str, outcome: dict[str, Any] | Receipt | ConnectionFailure) -> None:
        self._forget(uuid)
        self.effects.append(Settle(uuid, outcome))

    def _forget(self, uuid: str) -> None:
        one = self._waiting.pop(uuid, None)
        self._bytes -= len(one.text) if one else 0

    # --- in ------------------------------------------------------------------

    def received(self, frame: dict[str, Any], now: float) -> None:
        """A frame of the server. Types that are not known are passed over."""
        match frame.get("type"):
            case "welcome" if self.state is ConnectionState.CONNECTING:
                self._welcome(frame, now)
            case "message":
                self._message(frame)
            case "reply":
                self._reply(frame)
            case "receipt":
                self._receipt(frame)
            case "refreshed" if frame.get("uuid") == self._refreshing:
                self._refreshing = ""
            case "error":
                self._error(frame, now)
            case "gap" | "closed" as kind:
                self._notice(kind, frame)

    def _welcome(self, frame: dict[str, Any], now: float) -> None:
        recovered = bool(frame.get("recovered"))
        self.state, self._wake, self._opened_at = ConnectionState.OPEN, None, now
        self.client, self._session = frame["client"], frame.get("session", "")
        offset = frame.get("offset", 0)
        self.offset = max(self.offset, offset) if recovered else offset
        if not recovered:
            self._whole_since = self.dialled
        self.effects.append(Tell(Opened(frame["client"], frame["node"], recovered if self._seen else None)))
        self._seen = True
        for uuid, one in tuple(self._waiting.items()):
            if not one.accepted:
                self._write(uuid, one)

    def _message(self, frame: dict[str, Any]) -> None:
        offset = frame.get("offset")
        if offset is not None:
            if offset <= self.offset:
                return
            self.offset = offset
        self.effects.append(Tell(Received(frame, self.dialled)))

    def _notice(self, kind: str, frame: dict[str, Any]) -> None:
        """Of the connection itself: that frames were dropped here, or that it ends, and when to come back."""
        if kind == "gap":
            self.effects.append(Tell(Gap(frame["dropped"], self.offset, self.dialled)))
        elif frame.get("retry_after") is not None:
            self._hint = min(max(0.0, frame["retry_after"] / 1000), _LONGEST_HINT)

    def _reply(self, frame: dict[str, Any]) -> None:
        one = self._waiting.get(frame["uuid"])
        if one is not None and one.kind == "request":
            self._settle(frame["uuid"], frame)

    def _receipt(self, frame: dict[str, Any]) -> None:
        uuid, state = frame["uuid"], frame["state"]
        one = self._waiting.get(uuid)
        if one is None or one.kind in ("send", "request"):
            return
        one.accepted, one.again = True, None
        if state != "accepted" or one.kind == "accepted":
            self._settle(uuid, Receipt(uuid, state, frame.get("reason")))

    def _error(self, frame: dict[str, Any], now: float) -> None:
        uuid, code = frame.get("uuid"), frame["code"]
        one = self._waiting.get(uuid) if uuid is not None else None
        if uuid is not None and uuid == self._refreshing:
            self._refreshing = ""
            self.not_refreshed(now)
        elif one is None or uuid is None:
            self.effects.append(Tell(Refused(code, frame.get("text", ""), uuid, frame.get("field"))))
        elif code in RETRY_CODES and one.kind in ("accepted", "done"):
            one.again = now + _AGAIN + self._chance() * _AGAIN
        else:
            self._settle(uuid, MessageRefused(code, frame.get("text", ""), frame.get("field")))
