"""The sessions of this node, and nobody else's."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from gobroke_dist.client import Client
from gobroke_dist.endpoint import Endpoint
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.session import CloseCode, FrameProtocol, NumberedProtocol, Session

log = logging.getLogger(__name__)


class Hub:
    """Delivers to local clients; a slow one costs nobody else anything.

    Args:
        metrics: where deliveries and drops are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sessions: dict[str, Session] = {}
        self._endpoints: dict[str, Endpoint] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def __contains__(self, uuid: object) -> bool:
        return uuid in self._sessions

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._sessions.values()))

    def add(self, session: Session, endpoint: Endpoint) -> None:
        """Take in an open session."""
        self._sessions[session.client.uuid] = session
        self._endpoints[session.id] = endpoint

    def restore(self, session: Session) -> None:
        """Take back in a session that another was to replace."""
        self._sessions[session.client.uuid] = session

    def remove(self, session: Session) -> bool:
        """Let a session go; False: it was not here."""
        self._endpoints.pop(session.id, None)
        if self._sessions.get(session.client.uuid) is not session:
            return False
        del self._sessions[session.client.uuid]
        return True

    def get(self, uuid: str) -> Session | None:
        """The session of a local client."""
        return self._sessions.get(uuid)

    def endpoint_of(self, session: Session) -> Endpoint | None:
        """The endpoint that holds a session's connection."""
        return self._endpoints.get(session.id)

    def clients(self) -> list[Client]:
        """All local clients."""
        return [session.client for session in self._sessions.values()]

    def has_unnumbered(self, uuid: str) -> bool:
        """Whether a client is here that does not come back. What others get has a number, and comes by the bus."""
        session = self._sessions.get(uuid)
        return session is not None and session.recovery is None

    def deliver(
        self, message: Message, uuids: Iterable[str], *, number: int = 0, moved: bool = False
    ) -> tuple[str, ...]:
        """Queue a message for some local clients, encoded once per protocol. Returns who is not here.

        Args:
            message: what.
            uuids: for whom.
            number: its place in the order of all; 0: it has none, and goes only to clients that do not come back.
            moved: it followed its client from another node. Who has come back has had it from there.
        """
        frames = _Frames(message, number)
        missing: list[str] = []
        for uuid in uuids:
            session = self._sessions.get(uuid)
            if session is None:
                missing.append(uuid)
            elif not (moved and session.recovery is not None):
                self._push(session, frames)
        return tuple(missing)

    def deliver_to_all(
        self, message: Message, exclude: str | None = None, *, number: int = 0, others_have_it: bool = False
    ) -> None:
        """Queue a message for every local client but one.

        Args:
            message: what.
            exclude: who does not get it.
            number: as in ``deliver``.
            others_have_it: it goes only to clients that may come back.
        """
        frames = _Frames(message, number)
        for uuid, session in tuple(self._sessions.items()):
            if uuid != exclude and not (others_have_it and session.recovery is None):
                self._push(session, frames)

    def _push(self, session: Session, frames: _Frames) -> None:
        if session.recovery is not None and not frames.number:
            return  # it comes by the bus, too
        frame = frames.of(session)
        if frame is None:
            self._metrics.drop("not_encodable")
        elif session.push_numbered(frames.number, frame) if session.recovery is not None else session.push(frame):
            self._metrics.count("delivered")
        else:
            slow = session.close_code is CloseCode.SLOW_CONSUMER
            self._metrics.drop("slow_consumer" if slow else "closing")


class _Frames:
    """A message as frames, made once for each protocol."""

    def __init__(self, message: Message, number: int) -> None:
        self.number = number
        self._message = message
        self._made: dict[tuple[str, bool], bytes | None] = {}

    def of(self, session: Session) -> bytes | None:
        """The frame for a session; None: the message can't be encoded."""
        kind = session.protocol.name, session.recovery is not None
        if kind not in self._made:
            self._made[kind] = _encode(session.protocol, self._message, self.number if kind[1] else None)
        return self._made[kind]


def _encode(protocol: FrameProtocol, message: Message, number: int | None) -> bytes | None:
    try:
        if number is not None and isinstance(protocol, NumberedProtocol):
            return protocol.encode_numbered(message, number)
        return protocol.encode(message)
    except Exception:
        log.exception("message %s can't be encoded as %s: no client gets it", message.uuid, protocol.name)
        return None
