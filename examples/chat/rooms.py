"""The chat's own data in Redis: who is in which room, and what was said there.

The framework's Redis is used, under keys of our own. The client is synchronous, and so are the logics: the
framework runs a plain ``def`` on a thread, so nothing here can hold up an edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import redis
from redis.commands.core import Script

from examples.chat.payloads import Line, Member, NumberedLine
from gobroke_dist import Broke

KEEP_LINES = 200
FORGET_AFTER = 7 * 24 * 3600  # seconds without a word


class Rooms:
    """All rooms.

    Args:
        broke: the application, whose Redis and key prefix are used. It connects on first use, in the process
            that uses it.
    """

    def __init__(self, broke: Broke) -> None:
        self._broke = broke

    # --- who is there ------------------------------------------------------------

    def enter(self, room: str, member: Member, *, after: int) -> tuple[list[Member], list[NumberedLine]]:
        """Add a member. Returns everybody in the room, and the lines kept whose number is above ``after``.

        First a member, then the history: whatever is said from now on is delivered, and what was said before is
        in the history, so nothing can fall between the two. It may be in both; the number tells.
        """
        with self.store.pipeline(transaction=True) as trip:
            trip.sadd(self._rooms, room)
            trip.hset(self._members(room), member.client, member.model_dump_json())
            trip.hvals(self._members(room))
            trip.zrangebyscore(self._history(room), f"({after}", "+inf", withscores=True)
            _, _, members, lines = trip.execute()
        return _members(members), [_numbered(line, number) for line, number in lines]

    def members(self, room: str) -> list[Member]:
        """Everybody in a room."""
        return _members(self.store.hvals(self._members(room)))

    def forget(self, room: str, members: Iterable[Member]) -> bool:
        """Take members out of a room. Returns whether any of them was still there."""
        pairs = [part for member in members for part in (member.client, member.model_dump_json())]
        return bool(self._forget_script(keys=[self._members(room), self._rooms], args=[room, *pairs]))

    def names(self) -> list[str]:
        """All rooms that have members."""
        return sorted(str(room) for room in self.store.smembers(self._rooms))

    # --- what was said -----------------------------------------------------------

    def number(self, room: str, line: Line) -> tuple[NumberedLine, list[Member]]:
        """Give a line its number and keep it. Returns it as it was kept, and who is to hear it.

        Calling this again with the same uuid changes nothing and returns the same.
        """
        keys = [self._key("numbers", room), self._history(room), self._key("last", room)]
        args: list[str | int] = [line.uuid, line.model_dump_json(), KEEP_LINES, FORGET_AFTER]
        with self.store.pipeline(transaction=False) as trip:
            self._number_script(keys=keys, args=args, client=trip)
            trip.hvals(self._members(room))
            (number, kept), members = trip.execute()
        return _numbered(kept, number), _members(members)

    # --- keys and connection -----------------------------------------------------

    def _key(self, *parts: str) -> str:
        # One hash tag: on Redis Cluster a script may only use keys of one slot.
        return ":".join((self._broke.settings.prefix, "{chat}", *parts))

    @property
    def _rooms(self) -> str:
        return self._key("rooms")

    def _members(self, room: str) -> str:
        return self._key("members", room)

    def _history(self, room: str) -> str:
        return self._key("history", room)

    @cached_property
    def store(self) -> redis.Redis:
        """The Redis that all this is in; a test may set another one."""
        settings = self._broke.settings
        assert settings.redis_url is not None
        return redis.Redis.from_url(settings.redis_url, decode_responses=True, socket_timeout=settings.redis_timeout)

    @cached_property
    def _number_script(self) -> Script:
        return self._script("number.lua")

    @cached_property
    def _forget_script(self) -> Script:
        return self._script("forget.lua")

    def _script(self, name: str) -> Script:
        return self.store.register_script(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _members(found: Iterable[str | bytes]) -> list[Member]:
    members = [Member.model_validate_json(member) for member in found]
    return sorted(members, key=lambda member: (member.name.lower(), member.client))


def _numbered(line: str, number: float) -> NumberedLine:
    return NumberedLine(**Line.model_validate_json(line).model_dump(), number=int(number))
