"""The chat's own data in Redis: what was said in which room.

The framework's Redis is used, under keys of our own. The client is synchronous, and so are the logics: the
framework runs a plain ``def`` on a thread, so nothing here can hold up an edge.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import redis
from redis.commands.core import Script

from examples.chat.payloads import Line, NumberedLine
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

    def history(self, room: str, *, after: int) -> list[NumberedLine]:
        """The lines kept whose number is above ``after``.

        Who joins the room first and then asks for its history misses nothing: whatever is said from then on is
        delivered, and what was said before is in the history. A line may be in both; the number tells.
        """
        lines: Any = self.store.zrangebyscore(self._history(room), f"({after}", "+inf", withscores=True)
        return [_numbered(line, number) for line, number in lines]

    def number(self, room: str, line: Line) -> NumberedLine:
        """Give a line its number and keep it. Returns it as it was kept.

        Calling this again with the same uuid changes nothing and returns the same.
        """
        keys = [self._key("numbers", room), self._history(room), self._key("last", room)]
        args: list[str | int] = [line.uuid, line.model_dump_json(), KEEP_LINES, FORGET_AFTER]
        number, kept = self._number_script(keys=keys, args=args)
        return _numbered(kept, number)

    def _key(self, *parts: str) -> str:
        # One hash tag: on Redis Cluster a script may only use keys of one slot.
        return ":".join((self._broke.settings.prefix, "{chat}", *parts))

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
        return self.store.register_script(Path(__file__).with_name("number.lua").read_text(encoding="utf-8"))


def _numbered(line: str, number: float) -> NumberedLine:
    return NumberedLine(**Line.model_validate_json(line).model_dump(), number=int(number))
