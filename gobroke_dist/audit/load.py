"""What an audit asks its logic to do: numbered messages, and effects that they are to have."""

from __future__ import annotations

import random
from dataclasses import dataclass

from pydantic import BaseModel

from gobroke_dist.audit.record import Sent


class Work(BaseModel):
    """One numbered message.

    Attributes:
        stream: key of the record.
        key, number: its place.
        milliseconds: how long the handler works.
        failures: how many of the first attempts raise.
        parts: how many effects a good run has.
    """

    stream: str
    key: str
    number: int
    milliseconds: float = 0.0
    failures: int = 0
    parts: int = 1


class Sign(BaseModel):
    """One effect: what a run sent, on its way through the framework."""

    stream: str
    key: str
    number: int
    run: str
    part: int


class Order(BaseModel):
    """The payload of an audit's message: one of the two."""

    work: Work | None = None
    sign: Sign | None = None

    @property
    def key(self) -> str:
        """The ordering key. Effects are ordered among themselves, and do not wait for the work of their key."""
        if self.work is not None:
            return self.work.key
        return f"effects of {self.sign.key}" if self.sign is not None else ""


@dataclass(frozen=True, slots=True)
class Load:
    """How much of what is sent. The same seed gives the same messages.

    Attributes:
        keys: ordering keys.
        messages: messages of each key.
        work: the longest time that a handler works, in milliseconds; each takes a random part of it.
        failing: the share of messages whose first attempt raises.
        seed: of all choices.
    """

    keys: int = 1000
    messages: int = 100
    work: float = 5.0
    failing: float = 0.05
    seed: int = 0

    @property
    def total(self) -> int:
        """Messages of all keys."""
        return self.keys * self.messages

    def order(self, stream: str, key: int, number: int) -> Order:
        """One message."""
        dice = random.Random(f"{self.seed}/{key}/{number}")  # noqa: S311 - repeatable, not secret
        work = Work(
            stream=stream,
            key=f"k{key:05}",
            number=number,
            milliseconds=round(dice.random() * self.work, 1),
            failures=int(dice.random() < self.failing),
            parts=2 if dice.random() < 0.1 else 1,
        )
        return Order(work=work)


def sent(order: Order, at: int) -> Sent:
    """The record's line for a message that was accepted."""
    assert order.work is not None
    return Sent(order.work.key, order.work.number, order.work.parts, at)
