"""A Dramatiq message on its way into a queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.common import dq_name

from gobroke_dist.keys import QueueKeys
from gobroke_dist.tasks.scripts import Argument, queue_keys

ORDER_KEY = "order_key"
REDIS_ID = "redis_message_id"
HELD_BY_REDIS = "held_by_redis"
"""Marks an ``eta`` that only people read: Redis itself knows when the message is due."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What Redis is told about one message.

    Attributes:
        queue: the queue's own name, without Dramatiq's suffix for delays.
        id: its id in Redis; the same one is accepted once per window.
        key: the ordering key; None for no order.
        delay: milliseconds until it may start.
        message: the Dramatiq message; until it is sent, hooks may still add to its options.
    """

    queue: str
    id: str
    key: str | None
    delay: int
    message: dramatiq.Message[Any]

    @property
    def payload(self) -> bytes:
        """The message as Redis holds it."""
        encoded: bytes = self.message.encode()
        return encoded


def pack(message: dramatiq.Message[Any], *, delay: int | None = None) -> Parcel:
    """Prepare a message. A new message keeps its id in Redis; one that has been in Redis before gets a new one."""
    known = REDIS_ID in message.options
    options: dict[str, Any] = {REDIS_ID: str(uuid4()) if known else message.message_id}
    key = key_of(message)
    if key is not None:
        options[ORDER_KEY] = key
    packed = message.copy(options=options)
    if delay is not None:
        packed = postponed(packed, delay)
    return Parcel(message.queue_name, options[REDIS_ID], key, max(0, delay or 0), packed)


def postponed(message: dramatiq.Message[Any], delay: int) -> dramatiq.Message[Any]:
    """The form in which Dramatiq's tools expect a message that waits for a time."""
    eta = int(time.time() * 1000) + delay
    return message.copy(queue_name=dq_name(message.queue_name), options={"eta": eta, HELD_BY_REDIS: True})


def key_of(message: dramatiq.Message[Any]) -> str | None:
    """The ordering key that a message names, in its options or in its payload."""
    key = message.options.get(ORDER_KEY)
    if key is None:
        body = message.kwargs.get("message")
        key = body.get("key") if isinstance(body, dict) else None
    return key if isinstance(key, str) else None


def lane_of(queue: QueueKeys, key: str | None) -> str:
    """The lane to declare for a message; a message without a key touches none, so any key of the queue will do."""
    return queue.ready if key is None else queue.lane(key)


def place_args(parcel: Parcel, lane: int) -> list[Argument]:
    """What ``parts/place.lua`` reads; ``lane`` is the lane's index in KEYS, from 1."""
    keyed = parcel.key is not None
    return [parcel.id, parcel.payload, parcel.delay, int(keyed), parcel.key or "", lane]


def enqueue_call(
    prefix: str, parcels: Sequence[Parcel], window: int, *, limit: int | None = None
) -> tuple[list[str], list[Argument]]:
    """KEYS and ARGV of ``enqueue.lua`` for messages of one queue.

    Args:
        prefix: ``Settings.prefix``.
        parcels: the messages.
        window: the dedup window, in milliseconds.
        limit: how many messages the queue may hold; None: any number.
    """
    queue = QueueKeys(prefix, parcels[0].queue)
    keys = queue_keys(queue)
    args: list[Argument] = [window, limit or 0]
    for parcel in parcels:
        keys.append(lane_of(queue, parcel.key))
        args += place_args(parcel, len(keys))
    return keys, args


def accepted_of(message: dramatiq.Message[Any]) -> tuple[int, int] | None:
    """Stand-in."""
    found = message.options.get("accepted")
    return (found[0], found[1]) if isinstance(found, list) else None
