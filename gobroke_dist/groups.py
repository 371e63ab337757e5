"""Port: which clients are in which groups."""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple, Protocol

from gobroke_dist.client import Client
from gobroke_dist.errors import GroupInvalid
from gobroke_dist.registry import Page

MAX_NAME: Final = 256
"""How many bytes a group's name may have, in UTF-8."""


class Change(NamedTuple):
    """Somebody has joined a group, or left it.

    Attributes:
        number: grows from change to change.
        joined: whether it has joined.
        group: the group's name.
        uuid: the client's.
    """

    number: int
    joined: bool
    group: str
    uuid: str


class Outcome(Enum):
    """What became of joining or leaving."""

    CHANGED = "changed"
    """It is done, and the client's node is told."""
    UNCHANGED = "unchanged"
    """It was so already, and nobody is told."""
    ELSEWHERE = "elsewhere"
    """The client has come back since, with another session; nothing was done."""
    NOWHERE = "nowhere"
    """This session is not connected, and not waited for; nothing was done."""


class Groups(Protocol):
    """Every call may raise ``RedisUnavailable``. One object serves one process, from one event loop.

    A group is there as long as it has members. A member is one session of a client: what ends its registration
    (``Registry``) takes it out of all groups in the same step, and a client that connects anew is in none. Members on
    a node whose lease has run out are neither listed nor counted.

    Who is away and may come back is neither listed nor counted, but is sent what is sent to its groups, and is in them
    when it is back.
    """

    async def join(self, client: Client, group: str, news: bytes) -> Outcome:
        """Make a client a member, and in the same step publish ``news`` to its node.

        ``client.node`` and ``client.session`` say which session. What is sent to the group after that reaches this
        node after ``news``.
        """
        ...

    async def leave(self, client: Client, group: str, news: bytes) -> Outcome:
        """Take a client out of a group, and in the same step publish ``news`` to its node."""
        ...

    async def page(self, group: str, cursor: str = "", count: int = 1000) -> Page:
        """Members after ``cursor`` (empty: from the start), ``count`` at most. Cost is proportional to the answer.

        A client that is a member throughout the listing is listed once. A page may be empty and yet not be the last.
        """
        ...

    async def count(self, group: str) -> int:
        """How many members a group has. The cost does not grow with their number."""
        ...

    async def changes(self, node: str, done: int, grace: float) -> list[Change]:
        """The oldest changes after number ``done``; call it again and again, and changes are noted.

        One node hears of them; others get nothing for as long as it goes on asking, and then all that it has not called
        done. A client that goes without leaving has left after ``grace`` seconds (those of the one who asked last),
        unless it has joined again by then: that is no change. Nothing is noted when nobody has asked for a minute.
        """
        ...


def check(group: str) -> None:
    """Raises ``GroupInvalid`` where no group can have this name."""
    try:
        size = len(group.encode())
    except UnicodeEncodeError:
        raise GroupInvalid(group, "it has half of a surrogate pair") from None
    if not 0 < size <= MAX_NAME:
        raise GroupInvalid(group, f"a name has 1 to {MAX_NAME} bytes")
    if "\0" in group:
        raise GroupInvalid(group, "a name has no NUL")
