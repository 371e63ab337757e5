"""Port: who is connected, where; and which processes are alive."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol
from uuid import uuid4

from gobroke_dist.client import Client
from gobroke_dist.settings import Settings


@dataclass(frozen=True, slots=True)
class Member:
    """One process of the cluster.

    Attributes:
        node: its id, unique for each start of a process.
        role: ``edge``, ``worker`` or ``scheduler``.
        host: the machine's name.
        pid: the process id there.
        started: Unix seconds, for people to read.
        addresses: where clients reach it, as URLs.
    """

    node: str
    role: str
    host: str = ""
    pid: int = 0
    started: float = 0.0
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list of clients. ``cursor`` is the next part's, empty after the last one."""

    clients: tuple[Client, ...]
    cursor: str


def new_node_id(settings: Settings, role: str) -> str:
    """An id for this start of a process: readable, and never used before."""
    return f"{settings.node_id or f'{role}-{socket.gethostname()}'}-{uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order of all that is published: ``number`` grows within an ``epoch``."""

    epoch: str
    number: int


class Home(NamedTuple):
    """A node that a client was on, and the number after which what is sent to the client is kept there."""

    since: int
    node: str


@dataclass(frozen=True, slots=True)
class Return:
    """A client that has come back.

    Attributes:
        homes: where it was, in order.
        node, session: where it was last.
        position: what was published up to here is kept there; what comes after it goes to where the client is now.
        groups: that it is in.
    """

    homes: Sequence[Home]
    node: str
    session: str
    position: Position
    groups: frozenset[str] = frozenset()


class Registry(Protocol):
    """Every call may raise ``RedisUnavailable``. One object serves one process, from one event loop.

    A member holds a lease, which the registry's own clock times (contract W20). When it runs out, the member
    and its clients are gone for everyone: they are not located, not listed, and their uuids may be registered
    again. Ghosts are removed from storage by whichever member renews next, in bounded steps. A client that goes, or
    whose uuid another session takes over, leaves all of its groups (``Groups``) in the same step.
    """

    async def join(self, member: Member) -> None:
        """Take a lease for this process."""
        ...

    async def renew(self) -> bool:
        """Extend the lease; call it several times in each. False: it had run out, so register all clients again.

        False is never lost: after a call that raised, the next one says what that one would have said.

        Raises:
            NotRunning: before ``join``, or after ``leave``.
        """
        ...

    async def leave(self) -> None:
        """Give the lease up, with all clients of this member."""
        ...

    async def members(self) -> list[Member]:
        """All members with a running lease."""
        ...

    async def register(self, client: Client, groups: Iterable[str] = ()) -> None:
        """Make a client of this member known. ``client.node`` and ``client.session`` are set already.

        Registering the same session again refreshes it, and its groups stay as they are. A session that is not known
        (any more) is in ``groups`` from then on, and in no others.

        Raises:
            ClientAlreadyExists: another session of it, on a living member.
            RedisUnavailable: also when this member's own lease has run out; the next ``renew`` says so, too.
            TypeError, ValueError: its metadata is not JSON-able.
        """
        ...

    async def replace(self, older: Client, client: Client, news: bytes) -> bool:
        """Make a client of this member known in place of another session of it, ``older``.

        In the same step ``news`` is published to the node of the older session, on the bus: what is sent to the
        client from then on arrives there after it. Calling again with the same sessions changes nothing.

        The new session is in no groups.

        Returns:
            False: ``older`` is not, or no longer, the session that is known; nothing was done.

        Raises:
            RedisUnavailable, TypeError, ValueError: as ``register``.
        """
        ...

    async def unregister(self, client: Client) -> bool:
        """Forget a client, if this very session is the one known, or is away. Returns whether it was."""
        ...

    async def keep(self, client: Client, secret: bytes) -> Position | None:
        """Let a registered client come back, when its connection or its node is lost, by showing a secret.

        Returns:
            from where on it gets what is published; None: it is not this session's any more.
        """
        ...

    async def suspend(self, client: Client) -> bool:
        """Its connection is lost: take it for away, if it may come back, else forget it. As ``unregister``.

        It is away for ``recovery_window``: it is not listed and its uuid is free, but it is located if asked for.
        """
        ...

    async def come_back(self, client: Client, secret: bytes) -> Return | None:
        """Register the new session of a client that was kept with this secret, and is away or loses its old session.

        It is in the groups that the client was in: its node is told by ``wire.Rejoined`` before what is sent to them.

        None: nobody waits for it with this secret. Raises as ``register``.
        """
        ...

    async def update(self, clients: Sequence[Client]) -> None:
        """Write metadata and last-message times of this member's clients, in one trip for all of them.

        A client that is no longer this session's is left alone; one whose metadata is not JSON-able is logged and
        left out, and the others are written.
        """
        ...

    async def locate(self, uuids: Iterable[str], *, away: bool = False) -> dict[str, Client]:
        """The clients of these uuids, in one trip; who is not connected is absent.

        ``away``: who may come back is found where it was, too.
        """
        ...

    def pages(self, count: int = 1000) -> AsyncIterator[Sequence[Client]]:
        """All clients, about ``count`` at a time. Cost is proportional to the answer.

        A client that is connected throughout the listing is listed, now and then twice; one that comes or goes
        meanwhile may be. A page may have no clients and yet not be the last. Take them one after another: while one
        is looked at, the next may have been read.
        """
        ...

    async def page(self, cursor: str = "", count: int = 1000) -> Page:
        """One page as of ``pages``: the first, or the one after it whose ``cursor`` this is. An unknown cursor is no
        error, its page may have anybody.

        Raises:
            CallInvalid: the cursor was never a page's.
        """
        ...

    async def revoke(self, uuid: str, seconds: float) -> None:
        """Remember for so long that what this client has to show until now does not count any more."""
        ...

    async def revoked(self, uuid: str) -> float | None:
        """When this client was revoked last, in Unix seconds of the registry's own clock; None: not that is remembered.

        Whoever has registered the client asks: then one of two, who revokes and who registers, sees the other.
        """
        ...

    async def count(self) -> int:
        """How many clients are registered: O(1). Clients of a dead member count until they are removed."""
        ...
