"""The sessions of this node, and nobody else's."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import filterfalse

from gobroke_dist.client import Client
from gobroke_dist.endpoint import Endpoint
from gobroke_dist.membership import Membership
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.session import CloseCode, FrameProtocol, NumberedProtocol, Session

log = logging.getLogger(__name__)


class Hub:
    """Delivers to local clients; a slow one costs nobody else anything.

    Args:
        metrics: where deliveries and drops are counted.

    Attributes:
        membership: the groups of its sessions.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.membership = Membership()
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
        self.membership.leave_all(session.id)
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

    def deliver_to_groups(
        self,
        message: Message,
        groups: Iterable[str],
        *,
        uuids: Iterable[str] = (),
        exclude: str | None = None,
        number: int = 0,
        others_have_it: bool = False,
    ) -> tuple[str, ...]:
        """Queue a message for the local members of some groups but one, and for some local clients, once for each.

        Args:
            message: what.
            groups: whose members.
            uuids: for whom else.
            exclude: which member does not get it.
            number: as in ``deliver``.
            others_have_it: of the members only those get it that may come back.

        Returns as ``deliver``.
        """
        members = self.members_of(groups) - {exclude}
        if others_have_it:
            members = set(filterfalse(self.has_unnumbered, members))
        return self.deliver(message, members.union(uuids), number=number)

    def members_of(self, groups: Iterable[str]) -> set[str]:
        """The local clients that are in any of these groups."""
        members = self.membership.members_of(groups)
        return {uuid for id_, uuid in members.items() if uuid in self._sessions and self._sessions[uuid].id == id_}

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
        elif session.push_numbered(frames.number, frame):
            self._metrics.count("delivered")
            if frames.message.reply_to is not None:
                session.ask(frames.message.reply_to)
        elif session.ending:  # otherwise its outbox has dropped it, and has counted that
            slow = session.close_code is CloseCode.SLOW_CONSUMER
            self._metrics.drop("slow_consumer" if slow else "closing")


class _Frames:
    """A message as frames, made once for each protocol."""

    def __init__(self, message: Message, number: int) -> None:
        self.number = number
        self.message = message
        self._made: dict[tuple[str, bool], bytes | None] = {}

    def of(self, session: Session) -> bytes | None:
        """The frame for a session; None: the message can't be encoded."""
        kind = session.protocol.name, session.recovery is not None
        if kind not in self._made:
            self._made[kind] = _encode(session.protocol, self.message, self.number if kind[1] else None)
        return self._made[kind]


def _encode(protocol: FrameProtocol, message: Message, number: int | None) -> bytes | None:
    try:
        if number is not None and isinstance(protocol, NumberedProtocol):
            return protocol.encode_numbered(message, number)
        return protocol.encode(message)
    except Exception:
        log.exception("message %s can't be encoded as %s: no client gets it", message.uuid, protocol.name)
        return None
