"""Clients that come back: to any node, with what was sent to them meanwhile (contract C7)."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from hmac import compare_digest
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

from gobroke_dist.backoff import doubling
from gobroke_dist.errors import BrokeError, ClientAlreadyExists
from gobroke_dist.registry import Position, Return
from gobroke_dist.replays import Numbered, Replays
from gobroke_dist.runtime import Runtime
from gobroke_dist.session import CloseCode, NumberedProtocol, Recovery, Session
from gobroke_dist.wire import node as wire

log = logging.getLogger(__name__)

_SECRET_BYTES = 24
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class Token(NamedTuple):
    """What a client shows to come back: that it is the one, and of which epoch its numbers are."""

    secret: str
    epoch: str

    @classmethod
    def read(cls, text: str) -> Token:
        """A token from what ``str`` made of it; of anything else, one that nobody has."""
        secret, _, epoch = text.partition(".")
        return cls(secret, epoch)

    def __str__(self) -> str:
        return f"{self.secret}.{self.epoch}"


class Returns:
    """Begins the sessions of clients that may come back.

    Args:
        runtime: this process.
        spawn: runs something in the background.
    """

    def __init__(self, runtime: Runtime, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._runtime = runtime
        self._spawn = spawn
        self._replays = Replays(runtime.bus)

    def replaces(self, before: Session, session: Session) -> bool:
        """Whether a new session is the same client as one that is here still, whose connection it has given up.

        That one may still wait to be let back itself: then both show the same, and the registry has to confirm it.
        """
        known = before.secret or _shown(before)
        return bool(known) and compare_digest(known, _shown(session))

    async def begin(self, session: Session, register: Callable[[Session], Awaitable[None]]) -> None:
        """Register a session, and queue what it gets first. Raises as ``Registry.register``.

        Args:
            session: the new one.
            register: registers it, if it does not come back.
        """
        assert session.recovery is not None
        token = Token.read(session.recovery.token)
        secret = token.secret.encode()
        back = await self._runtime.registry.come_back(session.client, secret) if session.recovery.token else None
        if back is None:
            await self._begin_anew(session, register)
            return
        session.secret = secret
        missed = await self._missed(session.client.uuid, session.recovery, token, back)
        if missed is None:
            log.info("client %s comes back; what it missed is not known any more", session.client.uuid)
        self._runtime.metrics.count("recovered" if missed is not None else "not_recovered")
        self._welcome(session, back.position, missed, back.groups)
        self._spawn(self._end(session, back))

    async def keep(self, session: Session) -> None:
        """After its registration was renewed: Redis may have lost that it may come back."""
        if session.epoch:  # it has begun
            position = await self._runtime.registry.keep(session.client, session.secret)
            if position is not None and position.epoch != session.epoch:
                self._give_up(session)

    def lost(self, epoch: str) -> None:
        """Redis has lost what it had: who may come back is to do that now, and is told that something is missing."""
        for session in self._runtime.hub:
            if session.epoch and session.epoch != epoch:
                self._give_up(session)

    def _give_up(self, session: Session) -> None:
        session.close(CloseCode.RECOVERY_LOST, "what was sent to this client can't be recovered; connect again")

    async def _begin_anew(self, session: Session, register: Callable[[Session], Awaitable[None]]) -> None:
        await register(session)
        session.secret = secrets.token_urlsafe(_SECRET_BYTES).encode()
        position = await self._runtime.registry.keep(session.client, session.secret)
        if position is None:
            raise ClientAlreadyExists(session.client.uuid, "another node")
        if session.recovery is not None and session.recovery.token:
            self._runtime.metrics.count("not_recovered")
        self._welcome(session, position, None)

    async def _missed(self, uuid: str, asked: Recovery, token: Token, back: Return) -> list[Numbered] | None:
        if token.epoch != back.position.epoch or not back.homes[0].since <= asked.number <= back.position.number:
            return None
        ends = [*(home.since for home in back.homes[1:]), back.position.number]
        parts = [(home.node, max(home.since, asked.number), end) for home, end in zip(back.homes, ends, strict=True)]
        wanted: list[tuple[str | None, int, int]] = [part for part in parts if part[1] < part[2]]
        wanted.append((None, asked.number, back.position.number))
        found = await asyncio.gather(*(self._replays.of(uuid, token.epoch, *part) for part in wanted))
        whole = [part for part in found if part is not None]
        return sorted(chain(*whole), key=itemgetter(0)) if len(whole) == len(found) else None

    def _welcome(
        self, session: Session, position: Position, missed: list[Numbered] | None, groups: Iterable[str] = ()
    ) -> None:
        protocol, client = session.protocol, session.client
        assert isinstance(protocol, NumberedProtocol)
        session.epoch = position.epoch
        token = str(Token(session.secret.decode(), position.epoch))
        recovered = missed is not None
        since = session.recovery.number if recovered and session.recovery else position.number
        welcome = protocol.encode_session(client, token=token, number=since, recovered=recovered)
        session.begin(position.number, [welcome, *_frames(protocol, _own(client.uuid, missed or (), groups))])

    async def _end(self, session: Session, back: Return) -> None:
        """The connection that the client has given up, where another node does not know that yet.

        If it has given up this one instead, which was let back late, it may have come back there before: it is to do so
        once more. Until that node knows, what is sent to the client passes it by; so this is not given up.
        """
        if back.node == self._runtime.node:
            return
        code = CloseCode.UNAVAILABLE if session.ending else CloseCode.REPLACED
        news = wire.encode(wire.Close(session.client.uuid, back.session, code, "the client has come back elsewhere"))
        end = time.monotonic() + self._runtime.settings.recovery_window
        for pause in doubling(_FIRST_PAUSE, _LONGEST_PAUSE):
            try:
                await self._runtime.bus.publish(back.node, news)
                return
            except BrokeError as error:
                log.debug("node %s is not told yet that a client has left it: %s", back.node, error)
            if time.monotonic() + pause > end:
                return
            await asyncio.sleep(pause)


def _shown(session: Session) -> bytes:
    return Token.read(session.recovery.token).secret.encode() if session.recovery else b""


def _frames(protocol: NumberedProtocol, missed: Iterable[tuple[int, wire.Deliver]]) -> Iterator[bytes]:
    for number, envelope in missed:
        yield protocol.encode_numbered(envelope.message(), number)


def _own(uuid: str, missed: Sequence[Numbered], groups: Iterable[str]) -> list[tuple[int, wire.Deliver]]:
    """What was for a client that is now in these groups. Read from the end: what it joined it was not in before."""
    own: list[tuple[int, wire.Deliver]] = []
    then = set(groups)
    for number, envelope in reversed(missed):
        if isinstance(envelope, wire.Membership):
            (then.discard if envelope.joined else then.add)(envelope.group)
        elif _is_for(uuid, envelope, then):
            own.append((number, envelope))
    return own[::-1]


def _is_for(uuid: str, envelope: wire.Deliver, groups: AbstractSet[str]) -> bool:
    if envelope.to is None:
        return envelope.exclude != uuid
    if uuid in envelope.to:
        return not envelope.moved
    return envelope.exclude != uuid and not groups.isdisjoint(envelope.groups)
