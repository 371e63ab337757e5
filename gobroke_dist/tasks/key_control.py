"""The ordering keys of a queue, for operators: which wait, run or halt, and how to hold them and let them go on."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from gobroke_dist.tasks import letters
from gobroke_dist.tasks.link import Link
from gobroke_dist.tasks.scripts import queue_keys

PAUSED = b"\xffpaused"
HALTED = b"\xffhalted:"
"""What stands for the head of a key that is held, as ``parts/queue.lua`` writes it; the dead letter's id follows."""

_PAGE = 500
_TRIES = 5

State = Literal["running", "waiting", "retrying", "paused", "halted"]
Paused = Literal["paused", "runs", "already"]
Resumed = Literal["resumed", "halted", "not paused"]
Skipped = Literal["skipped", "released", "runs", "nothing"]


@dataclass(frozen=True, slots=True)
class KeyState:
    """One ordering key.

    Attributes:
        queue: its logic's name.
        key: its name; empty for a logic that is ordered as a whole.
        state: what its first message does.
        depth: how many messages it has, the first one included, a dead letter not.
        head: id of its first message, or of the dead letter that it waits for; empty when it has none.
        age: seconds since its first message was sent, by the sender's clock; None when that is not known.
    """

    queue: str
    key: str
    state: State
    depth: int
    head: str
    age: float | None


class KeyControl:
    """Every method raises ``redis.RedisError`` or ``ConnectionClosed`` when Redis does not answer.

    Args:
        link: the way to Redis.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    # --- looking -----------------------------------------------------------------

    def count(self, queue: str) -> int:
        """How many keys have messages, or are held."""
        return int(self._link.client.hlen(self._link.keys(queue).heads))

    def deepest(self, queue: str, limit: int) -> list[KeyState]:
        """The keys with the most messages, the deepest first; of equal ones those that are held come first.

        Reads the index of keys page by page, and keeps no more than the answer.
        """
        best = heapq.nlargest(limit, self._lengths(queue), key=lambda one: (one[2], one[1][:1] == b"\xff"))
        unique = {key: (key, head, length) for key, head, length in best}
        return self._described(queue, list(unique.values()))

    def stopped(self, queue: str) -> str | None:
        """Why nothing of the logic runs: the dead letter's id, or ``by an operator``. None: it does run."""
        why = self._link.client.hget(self._link.keys(queue).counters, "halted")
        return None if why is None else cast(bytes, why).decode()

    def _lengths(self, queue: str) -> Iterator[tuple[str, bytes, int]]:
        """Key, head, and how many messages the key has."""
        keys, cursor = self._link.keys(queue), 0
        while True:
            found: Any
            cursor, found = self._link.client.hscan(keys.heads, cursor, count=_PAGE)
            page: list[tuple[str, bytes]] = [(key.decode(), head) for key, head in found.items()]
            pipeline = self._link.client.pipeline(transaction=False)
            for key, _ in page:
                pipeline.llen(keys.lane(key))
                pipeline.sismember(keys.paused, key)
            answers = pipeline.execute() if page else []
            for (key, head), waiting, paused in zip(page, answers[::2], answers[1::2], strict=True):
                # Of a key that is paused while its head runs or is dead, the pause itself waits in the lane.
                mark = bool(paused) and head != PAUSED
                yield key, head, waiting + (not _is_mark(head)) - mark
            if not cursor:
                return

    def _described(self, queue: str, found: Sequence[tuple[str, bytes, int]]) -> list[KeyState]:
        if not found:
            return []
        keys = self._link.keys(queue)
        ids = self._first_ids(queue, found)
        pipeline = self._link.client.pipeline(transaction=False)
        pipeline.time()
        for id_ in ids:
            pipeline.hexists(keys.fences, id_)
            for payloads in (keys.messages, keys.delayed_messages, keys.dead_messages):
                pipeline.hget(payloads, id_)
        (now, _), *facts = pipeline.execute()
        described = []
        for n, (key, head, depth) in enumerate(found):
            runs, waits, delayed, dead = facts[4 * n : 4 * n + 4]
            age = _age(now, waits or delayed or dead)
            described.append(KeyState(queue, key, _state(head, runs, waits, delayed), depth, ids[n], age))
        return described

    def _first_ids(self, queue: str, found: Sequence[tuple[str, bytes, int]]) -> list[str]:
        """Of a key that is paused, the first message is in its lane."""
        keys = self._link.keys(queue)
        pipeline = self._link.client.pipeline(transaction=False)
        for key, head, _ in found:
            if head == PAUSED:
                pipeline.lindex(keys.lane(key), 0)
        laned = iter(pipeline.execute())
        return [_id(next(laned) if head == PAUSED else head) for _, head, _ in found]

    # --- doing -------------------------------------------------------------------

    def pause(self, queue: str, key: str) -> Paused:
        """Hold a key: it accepts messages, and nothing of it starts. ``runs``: but for the one that a worker has."""
        return cast(Paused, self._call("pause", queue, key))

    def resume(self, queue: str, key: str) -> Resumed:
        """End a key's pause. ``halted``: it still waits for what becomes of a dead letter."""
        return cast(Resumed, self._call("resume", queue, key))

    def skip(self, queue: str, key: str) -> Skipped:
        """Go on without a key's first message: it becomes a dead letter, or stays the one that the key waits for.

        ``released``: it was one; ``runs``: a worker has it, and nothing was done; ``nothing``: the key has none.
        """
        keys = self._link.keys(queue)
        names = [keys.dead, keys.dead_messages, keys.deliveries, keys.lane(key), *queue_keys(keys)]
        for _ in range(_TRIES):
            head = cast("bytes | None", self._link.client.hget(keys.heads, key))
            first = cast("bytes | None", self._link.client.lindex(keys.lane(key), 0)) if head == PAUSED else head
            if first is None:
                return "nothing"
            id_ = _id(first)
            answer = self._link.call("skip", names, [key, id_, self._obituary(queue, id_)]).decode()
            if answer != "changed":
                return cast(Skipped, answer)
        return "runs"

    def pause_all(self, queue: str) -> None:
        """Hold the whole logic: nothing of it is handed out until ``resume_all``."""
        self._link.client.hsetnx(self._link.keys(queue).counters, "halted", "by an operator")

    def resume_all(self, queue: str) -> bool:
        """Let the logic run again, whoever stopped it; keys that are held stay so. Whether it was stopped."""
        keys = self._link.keys(queue)
        pipeline = self._link.client.pipeline(transaction=True)
        pipeline.hdel(keys.counters, "halted")
        pipeline.rpush(keys.bell, "1")
        return bool(pipeline.execute()[0])

    def _call(self, name: Literal["pause", "resume"], queue: str, key: str) -> str:
        keys = self._link.keys(queue)
        answer: bytes = self._link.call(name, [keys.lane(key), keys.paused, *queue_keys(keys)], [key])
        return answer.decode()

    def _obituary(self, queue: str, id_: str) -> bytes:
        keys = self._link.keys(queue)
        pipeline = self._link.client.pipeline(transaction=False)
        pipeline.hget(keys.messages, id_)
        pipeline.hget(keys.delayed_messages, id_)
        pipeline.hget(keys.deliveries, id_)
        waiting, delayed, attempts = pipeline.execute()
        payload = waiting or delayed or b""
        try:
            message = letters.read(payload, queue=queue, redis_id=id_).message
        except letters.Unreadable as error:
            return letters.junk(payload, queue=queue, redis_id=id_, error=error).encode()
        return letters.skipped(message, redis_id=id_, attempts=int(attempts or 0)).encode()


def _is_mark(head: bytes) -> bool:
    return head[:1] == b"\xff"


def _id(first: bytes | None) -> str:
    return (first or b"").removeprefix(HALTED).decode()


def _state(head: bytes, runs: bool, waits: bytes | None, delayed: bytes | None) -> State:
    if _is_mark(head):
        return "paused" if head == PAUSED else "halted"
    if runs:
        return "running"
    return "retrying" if delayed is not None and waits is None else "waiting"


def _age(now: int, payload: bytes | None) -> float | None:
    try:
        return max(0.0, now - float(json.loads(payload or b"")["message_timestamp"]) / 1000)
    except (ValueError, TypeError, KeyError):
        return None
