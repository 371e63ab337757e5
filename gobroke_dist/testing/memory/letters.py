"""Messages for logics as a queue holds them, and what becomes of those that are given up."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from gobroke_dist.errors import FrameInvalid
from gobroke_dist.logic import Tick
from gobroke_dist.message import Delivery, Message
from gobroke_dist.outlet import Task
from gobroke_dist.tasks.actors import tick_message, to_dramatiq
from gobroke_dist.tasks.letters import Unreadable, read
from gobroke_dist.tasks.parcel import pack_new, seal
from gobroke_dist.wire import task as wire


class Letter(NamedTuple):
    """A message that a queue can take.

    Attributes:
        logic: whose queue.
        id: the message's uuid.
        key: the ordering key; None for no order.
        payload: the very bytes that production would store.
    """

    logic: str
    id: str
    key: str | None
    payload: bytes


class Handed(NamedTuple):
    """A letter in the hands of a worker; who shows the fence in ``delivery`` may settle it."""

    letter: Letter
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up.

    Attributes:
        logic: whose it was.
        uuid: the message's.
        reason: ``attempts``, ``crashed`` or ``invalid``.
        error: what its last run raised: the type and the text.
        attempts: how often it was run.
        key: its ordering key; None for none.
        message: as the logic would have got it; None: it is a firing of a PASSIVE logic, or can't be read.
    """

    logic: str
    uuid: str
    reason: str
    error: str
    attempts: int
    key: str | None
    message: Message | None
    letter: Letter = field(repr=False)
    seq: int = field(repr=False)


def written(task: Task) -> Letter:
    """A task as production writes it. Raises ``TypeError`` or ``ValueError``: something in it is not JSON."""
    parcel = pack_new(to_dramatiq(task))
    seal(parcel)
    return Letter(task.logic, parcel.id, task.key, parcel.payload)


def firing(logic: str, nominal_ms: int, scheduler: str) -> Letter:
    """One run of a PASSIVE logic."""
    parcel = pack_new(tick_message(logic, nominal_ms, scheduler))
    return Letter(logic, parcel.id, parcel.key, parcel.payload)


def argument(handed: Handed) -> Message | Tick:
    """What the handler is called with. Raises ``FrameInvalid``."""
    letter = handed.letter
    try:
        kwargs = read(letter.payload, queue=letter.logic, redis_id=letter.id).message.kwargs
    except Unreadable as error:
        raise FrameInvalid(str(error)) from error
    if "tick" in kwargs:
        tick = kwargs["tick"]
        return Tick(datetime.fromtimestamp(tick["nominal_ms"] / 1000, UTC), tick["scheduler"])
    message = wire.from_kwargs(letter.logic, kwargs, uuid=letter.id)
    message.delivery = handed.delivery
    return message
