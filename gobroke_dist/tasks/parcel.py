"""A Dramatiq message on its way into a queue."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import uuid4

import dramatiq
from dramatiq.common import dq_name

from gobroke_dist.keys import QueueKeys
from gobroke_dist.tasks.encoding import ACCEPTED, encoded
from gobroke_dist.tasks.scripts import Argument, queue_keys

ORDER_KEY = "order_key"
REDIS_ID = "redis_message_id"
HELD_BY_REDIS = "held_by_redis"
"""Marks an ``eta`` that only people read: Redis itself knows when the message is due."""


class Parcel(NamedTuple):
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
        return encoded(self.message).payload


def made(**fields: Any) -> dramatiq.Message[Any]:
    """A message of all its fields. Its constructor, one guarded assignment after another, takes three times as long."""
    message = object.__new__(dramatiq.Message)
    vars(message).update(fields)
    return message


def pack(message: dramatiq.Message[Any], *, delay: int | None = None) -> Parcel:
    """Prepare a message. A new message keeps its id in Redis; one that has been in Redis before gets a new one."""
    options = {name: value for name, value in message.options.items() if name != ACCEPTED}
    packed = dataclasses.replace(message, options=options)
    if REDIS_ID in options:
        options[REDIS_ID] = str(uuid4())
    parcel = pack_new(packed)
    if delay is None:
        return parcel
    return parcel._replace(message=postponed(packed, delay), delay=max(0, delay))


def pack_new(message: dramatiq.Message[Any]) -> Parcel:
    """As ``pack``, for a message that was made to be packed: it is not copied."""
    redis_id = message.options.setdefault(REDIS_ID, message.message_id)
    key = key_of(message)
    if key is not None:
        message.options[ORDER_KEY] = key
    return Parcel(message.queue_name, redis_id, key, 0, message)


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


def accepted_of(message: dramatiq.Message[Any]) -> tuple[int, int] | None:
    """What Redis noted when it accepted a message.

    Returns:
        the number that the message has in its queue, and the instant in milliseconds of Redis' own clock; None when
        that is not known: it was not accepted yet, or another tool wrote it.
    """
    noted = message.options.get(ACCEPTED)
    if type(noted) is list and len(noted) == 2:
        number, instant = noted
        if type(number) is type(instant) is int and number >= 0 and instant >= 0:
            return number, instant
    return None


class Sealed(NamedTuple):
    """A parcel that nobody can change any more; every word can be sent.

    Attributes:
        words: what ``parts/place.lua`` reads of a message, but for the last.
        key: the ordering key; None for no order.
        size: bytes.
    """

    words: tuple[Argument, ...]
    key: str | None
    size: int


def seal(parcel: Parcel) -> Sealed:
    """Encode a parcel. Raises ``TypeError`` or ``ValueError``: something in it is not JSON, or not text."""
    payload, offset = encoded(parcel.message)
    words = (parcel.id.encode(), payload[offset:], int(offset > 0), parcel.delay, (parcel.key or "").encode())
    return Sealed(words, parcel.key, len(payload))


def place_args(parcel: Parcel, lane: int) -> list[Argument]:
    """What ``parts/place.lua`` reads; ``lane`` is the lane's index in KEYS, from 1."""
    return [*seal(parcel).words, 0 if parcel.key is None else lane]


def enqueue_call(
    queue: QueueKeys, letters: Iterable[Sealed], window: int, *, limit: int | None = None
) -> tuple[list[str], list[Argument]]:
    """KEYS and ARGV of ``enqueue.lua``.

    Args:
        queue: the queue of all these messages.
        letters: the messages, in order.
        window: the dedup window, in milliseconds.
        limit: how many messages the queue may hold; None: any number.
    """
    keys = queue_keys(queue)
    args: list[Argument] = [window, limit or 0]
    lanes: dict[str | None, int] = {None: 0}
    for words, key, _ in letters:
        lane = lanes.get(key)
        if lane is None:
            assert key is not None
            keys.append(queue.lane(key))
            lane = lanes[key] = len(keys)
        args += words
        args.append(lane)
    return keys, args
