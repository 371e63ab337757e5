"""The cluster at one glance: read-only, in one trip, whatever its size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import redis

from gobroke_dist.backends.redis.connection import connect_sync
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.keys import ClusterKeys, QueueKeys
from gobroke_dist.registry import Member
from gobroke_dist.settings import Settings

_PER_QUEUE = 5


@dataclass(frozen=True, slots=True)
class Depth:
    """How many messages one queue holds.

    Attributes:
        queue: its logic's name.
        ready: may start now.
        waiting: all that wait or run, the ready ones and those behind them included.
        delayed: wait for a time, such as a retry's.
        dead: dead letters.
    """

    queue: str
    ready: int
    waiting: int
    delayed: int
    dead: int


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


def read(settings: Settings, queues: Sequence[str]) -> Overview:
    """Read everything. ``queues`` are names of logics.

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
    pipeline.zcard(keys.later)
    pipeline.zcard(keys.dead)


def _depths(queues: Sequence[str], numbers: Sequence[int]) -> list[Depth]:
    found = []
    for index, queue in enumerate(queues):
        ready, waiting, delayed, later, dead = numbers[index * _PER_QUEUE :][:_PER_QUEUE]
        found.append(Depth(queue, ready, waiting, delayed + later, dead))
    return found


@contextlib.contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise RedisUnavailable(str(error)) from error
