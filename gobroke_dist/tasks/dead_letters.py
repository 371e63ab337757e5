"""A queue's dead letters, for operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import dramatiq
from dramatiq.errors import DecodeError

from gobroke_dist.tasks.letters import DEAD_ID
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.parcel import REDIS_ID, key_of, lane_of
from gobroke_dist.tasks.revival import revive_call, revived_parcel
from gobroke_dist.tasks.scripts import queue_keys

_PAGE = 500
_UNREADABLE = "unreadable"

Requeued = Literal["first", "last", "gone", "unreadable"]
"""At its old place; behind all others of its key; there is no such dead letter; it is no message that could run."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What may be told of a dead letter without its payload.

    Attributes:
        queue: its logic's name.
        id: its id in Redis.
        reason: ``attempts``, ``crashed``, ``invalid``, ``unreadable``, ``unknown_actor`` or ``skipped``; empty when
            another tool wrote it.
        error: the type of what its last run raised.
        attempts: how often it was run.
        died: Unix seconds.
        key: its ordering key; None for none.
        halts: whether its ordering key waits for it.
    """

    queue: str
    id: str
    reason: str
    error: str
    attempts: int
    died: float
    key: str | None
    halts: bool


class Place(NamedTuple):
    """Where a dead letter stands in the list of its queue: Unix milliseconds, and its id."""

    died: float
    id: str


class DeadLetters:
    """Reads and handles dead letters.

    Every method raises ``redis.RedisError`` or ``ConnectionClosed`` when Redis does not answer.

    Args:
        link: the way to Redis.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    def count(self, queue: str) -> int:
        """How many a queue has."""
        return int(self._link.client.zcard(self._link.keys(queue).dead))

    def latest(self, queue: str, limit: int) -> list[DeadLetter]:
        """The last that died, the latest first."""
        return self.page(queue, limit)[0]

    def page(self, queue: str, limit: int, before: Place | None = None) -> tuple[list[DeadLetter], Place | None]:
        """A part of those that died, the latest first.

        Args:
            queue: whose.
            limit: how many at most; it may be fewer, or none, and yet not the last part.
            before: where the part before ended; what has been handled since does not matter.

        Returns:
            them, and where this part ends; None: it is the last.
        """
        dead, newest = self._link.keys(queue).dead, "+inf" if before is None else before.died
        places: list[Place] = []
        offset = 0
        while len(places) < limit:
            found: Any = self._link.client.zrange(
                dead, newest, "-inf", desc=True, byscore=True, offset=offset, num=limit, withscores=True
            )
            # Of those that died at the same time, Redis has the greatest id first.
            there = [Place(died, id_.decode()) for id_, died in found]
            places += there if before is None else [place for place in there if place < before]
            offset += limit
            if len(found) < limit:
                break
        places = places[:limit]
        letters = self._described(queue, [(place.id, place.died / 1000) for place in places])
        return letters, places[-1] if len(places) == limit else None

    def find(self, queue: str, id_: str) -> tuple[DeadLetter, dict[str, Any]] | None:
        """One dead letter, and the whole message as Dramatiq's JSON has it, payload and all."""
        died = self._link.client.zscore(self._link.keys(queue).dead, id_)
        message = self._read(queue, id_)
        if message is None:
            return None
        [letter] = self._described(queue, [(id_, (died or 0.0) / 1000)])
        return letter, message.asdict()

    def handle_all(self, queue: str, handle: Callable[[str], bool]) -> int:
        """Handle all that are there now, the oldest first.

        Args:
            queue: whose.
            handle: gets an id; returns whether the dead letter is gone.

        Returns:
            how many are gone.
        """
        dead = self._link.keys(queue).dead
        newest = cast(list[tuple[bytes, float]], self._link.client.zrange(dead, -1, -1, withscores=True))
        gone = kept = 0
        while newest:
            last = newest[0][1]
            page: Any = self._link.client.zrange(dead, "-inf", last, byscore=True, offset=kept, num=_PAGE)
            done = sum(handle(id_.decode()) for id_ in page)
            gone, kept = gone + done, kept + len(page) - done
            if len(page) < _PAGE:
                break
        return gone

    def requeue(self, queue: str, id_: str) -> Requeued:
        """Make it a message again, with all of its attempts: at its old place if its ordering key waits for it."""
        message = self._read(queue, id_)
        if message is None:
            return "gone"
        if message.options.get("dead_reason") == _UNREADABLE:
            return "unreadable"
        parcel = revived_parcel(message.copy(queue_name=queue))
        call = revive_call(self._link.settings.prefix, parcel, message, dead_id=id_, must_be_dead=True)
        answer = self._link.call("revive", *call).decode()
        return cast(Requeued, "last" if answer == "here" else answer)

    def discard(self, queue: str, id_: str) -> bool:
        """Delete it for good; an ordering key that waits for it goes on. Whether it was there."""
        message, keys = self._read(queue, id_), self._link.keys(queue)
        key = None if message is None else key_of(message)
        call = [keys.dead, keys.dead_messages, lane_of(keys, key), *queue_keys(keys)]
        return bool(self._link.call("discard", call, [id_, int(key is not None), key or ""]))

    def _read(self, queue: str, id_: str) -> dramatiq.Message[Any] | None:
        payload = self._link.client.hget(self._link.keys(queue).dead_messages, id_)
        return None if payload is None else _decoded(cast(bytes, payload), queue, id_)

    def _described(self, queue: str, ids: Sequence[tuple[str, float]]) -> list[DeadLetter]:
        if not ids:
            return []
        keys = self._link.keys(queue)
        payloads: Any = self._link.client.hmget(keys.dead_messages, [id_ for id_, _ in ids])
        there = [(id_, died, _decoded(p, queue, id_)) for (id_, died), p in zip(ids, payloads, strict=True) if p]
        names = [key_of(message) or "" for _, _, message in there]
        waits = self._link.client.hmget(keys.halted, names) if names else []
        return [
            _letter(queue, id_, died, message, halts=waiting == id_.encode())
            for (id_, died, message), waiting in zip(there, waits, strict=True)
        ]


def _letter(queue: str, id_: str, died: float, message: dramatiq.Message[Any], *, halts: bool) -> DeadLetter:
    options = message.options
    error = str(options.get("error", "")).partition(":")[0]
    attempts = options.get("attempts", options.get("retries", 0))
    return DeadLetter(queue, id_, str(options.get("dead_reason", "")), error, attempts, died, key_of(message), halts)


def _decoded(payload: bytes, queue: str, id_: str) -> dramatiq.Message[Any]:
    """What other tools put there may be anything."""
    try:
        message: dramatiq.Message[Any] = dramatiq.Message.decode(payload)
        if isinstance(message.options, dict) and isinstance(message.kwargs, dict):
            return message
    except (DecodeError, TypeError):
        pass
    options = {REDIS_ID: id_, DEAD_ID: id_, "dead_reason": _UNREADABLE}
    return dramatiq.Message(queue, queue, (), {}, options, message_id=id_)
