"""The cluster at one glance: read-only, in one trip, whatever its size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import redis

from gobroke_dist.backends.redis.connection import connect_sync
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.keys import ClusterKeys, QueueKeys
from gobroke_dist.registry import Member
from gobroke_dist.settings import Settings

_PER_QUEUE = 7


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages one queue holds.

    Attributes:
        queue: its logic's name.
        ready: may start now.
        waiting: all that wait or run, the ready ones and those behind them included.
        delayed: wait for a time, such as a retry's.
        dead: dead letters.
        halted_keys: ordering keys that wait for what becomes of a dead letter.
        paused_keys: ordering keys that an operator has paused.
        stopped: nothing of the logic runs until an operator resumes it.
        full: it holds as many messages as it may.
    """

    queue: str
    ready: int
    waiting: int
    delayed: int
    dead: int
    halted_keys: int
    paused_keys: int
    stopped: bool
    full: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """What ``gobroke status`` shows. ``now`` is Redis' clock in Unix seconds."""

    now: float
    members: tuple[Member, ...]
    clients: int
    queues: tuple[Depth, ...]


def ping(settings: Settings) -> None:
    """Raises ``RedisUnavailable`` if Redis does not answer."""
    with _unavailable(), contextlib.closing(connect_sync(settings)) as client:
        client.ping()


def read(settings: Settings, queues: Mapping[str, int | None]) -> Overview:
    """Read everything.

    Args:
        settings: where.
        queues: names of logics, each with the number of messages that its queue may hold; None: any number.

    Raises:
        RedisUnavailable: Redis does not answer.
    """
    keys = ClusterKeys(settings.prefix)
    with _unavailable(), contextlib.closing(connect_sync(settings)) as client:
        pipeline = client.pipeline(transaction=False)
        pipeline.time()
        pipeline.zrange(keys.members, 0, -1, withscores=True)
        pipeline.hgetall(keys.member_info)
        pipeline.hlen(keys.clients)
        for queue in queues:
            _ask_depth(pipeline, QueueKeys(settings.prefix, queue))
        (seconds, micros), leases, info, clients, *numbers = pipeline.execute()
    now = seconds + micros / 1e6
    living = [info[node] for node, end in leases if end > now * 1000 and node in info]
    members = sorted((msgspec.json.decode(one, type=Member) for one in living), key=lambda one: (one.role, one.node))
    return Overview(now, tuple(members), clients, tuple(_depths(queues, numbers)))


def _ask_depth(pipeline: redis.client.Pipeline, keys: QueueKeys) -> None:
    pipeline.llen(keys.ready)
    pipeline.hlen(keys.messages)
    pipeline.hlen(keys.delayed_messages)
    pipeline.zcard(keys.dead)
    pipeline.hlen(keys.halted)
    pipeline.scard(keys.paused)
    pipeline.hexists(keys.counters, "halted")


def _depths(queues: Mapping[str, int | None], numbers: Sequence[int]) -> list[Depth]:
    found = []
    for index, (queue, limit) in enumerate(queues.items()):
        ready, waiting, delayed, dead, halted, paused, stopped = numbers[index * _PER_QUEUE :][:_PER_QUEUE]
        full = limit is not None and waiting + delayed >= limit
        found.append(Depth(queue, ready, waiting, delayed, dead, halted, paused, bool(stopped), full))
    return found


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise RedisUnavailable(str(error)) from error
