"""The sessions of this node, and nobody else's."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from gobroke_dist.client import Client
from gobroke_dist.endpoint import Endpoint
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.session import CloseCode, Session

log = logging.getLogger(__name__)


class Hub:
    """Delivers to local clients; a slow one costs nobody else anything.

    Args:
        metrics: where deliveries and drops are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sessions: dict[str, Session] = {}  # by uuid: who gets what is sent to a client
        self._held: dict[str, tuple[Session, Endpoint]] = {}  # by id, the replaced ones too

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._sessions

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def add(self, session: Session, endpoint: Endpoint) -> Session | None:
        """Take in a session. Returns the client's session until now: it stays here, and gets nothing any more."""
        before = self._sessions.get(session.client.uuid)
        self._sessions[session.client.uuid] = session
        self._held[session.id] = (session, endpoint)
        return before

    def restore(self, session: Session) -> None:
        """The one that took this session's place is gone again; it gets it back, unless it is on its way out."""
        if session.id in self._held and not session.ending:
            self._sessions.setdefault(session.client.uuid, session)

    def step_aside(self, session: Session) -> None:
        """Deliver nothing to this session from now on."""
        if self._sessions.get(session.client.uuid) is session:
            del self._sessions[session.client.uuid]

    def remove(self, session: Session) -> bool:
        """Let a session go; False: it was not here."""
        self.step_aside(session)
        return self._held.pop(session.id, None) is not None

    def get(self, uuid: str) -> Session | None:
        """The session of a local client."""
        return self._sessions.get(uuid)

    def find(self, session_id: str) -> Session | None:
        """The session of this id."""
        held = self._held.get(session_id)
        return None if held is None else held[0]

    def endpoint_of(self, session: Session) -> Endpoint | None:
        """The endpoint that holds a session's connection."""
        held = self._held.get(session.id)
        return None if held is None else held[1]

    def clients(self) -> list[Client]:
        """All local clients."""
        return [session.client for session in self._sessions.values()]

    def deliver(self, message: Message, uuids: Iterable[str]) -> tuple[str, ...]:
        """Queue a message for some local clients, encoded once per protocol. Returns who is not here."""
        frames: dict[str, bytes | None] = {}
        missing: list[str] = []
        for uuid in uuids:
            session = self._sessions.get(uuid)
            if session is None:
                missing.append(uuid)
            else:
                self._push(session, message, frames)
        return tuple(missing)

    def deliver_to_all(self, message: Message, exclude: str | None = None) -> None:
        """Queue a message for every local client but one."""
        frames: dict[str, bytes | None] = {}
        for uuid, session in tuple(self._sessions.items()):
            if uuid != exclude:
                self._push(session, message, frames)

    def _push(self, session: Session, message: Message, frames: dict[str, bytes | None]) -> None:
        name = session.protocol.name
        if name not in frames:
            frames[name] = _encode(session, message)
        frame = frames[name]
        if frame is None:
            self._metrics.drop("not_encodable")
        elif session.push(frame):
            self._metrics.count("delivered")
            if message.reply_to is not None:
                session.ask(message.reply_to)
        else:
            slow = session.close_code is CloseCode.SLOW_CONSUMER
            self._metrics.drop("slow_consumer" if slow else "closing")


def _encode(session: Session, message: Message) -> bytes | None:
    try:
        return session.protocol.encode(message)
    except Exception:
        log.exception("message %s can't be encoded as %s: no client gets it", message.uuid, session.protocol.name)
        return None
