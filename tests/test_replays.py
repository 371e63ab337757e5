"""Logs are read once for all that come back, and each gets what it would have got from a reading of its own."""

from __future__ import annotations

import asyncio
import random
from typing import Any, cast

import pytest

from gobroke_dist.bus import Bus, Missed
from gobroke_dist.message import Message
from gobroke_dist.replays import Replays
from gobroke_dist.wire import node as wire
from tests.eventually import eventually

PEOPLE = ("ann", "ben", "eve")
FOREIGN = b"of a version that nobody here speaks"


class Log:
    """A bus, as far as one log goes; of what has no larger number than ``forgotten`` nothing is left."""

    def __init__(self, dice: random.Random, length: int = 60) -> None:
        self.forgotten = 0
        self.reads = 0
        self.read = 0
        numbers = sorted(dice.sample(range(1, 4 * length), length))
        self.data = [(number, _datum(dice, number)) for number in numbers]

    async def replay(self, node: str | None, since: int, until: int) -> Missed | None:
        self.reads += 1
        await asyncio.sleep(0)
        if any(since < number <= min(until, self.forgotten) for number, _ in self.data):
            return None
        found = [one for one in self.data if since < one[0] <= until]
        self.read += len(found)
        return found

    def missed(self, uuid: str, since: int, until: int) -> list[int] | None:
        """What a reading that is not shared finds."""
        between = [one for one in self.data if since < one[0] <= until]
        if any(number <= self.forgotten for number, _ in between):
            return None
        return [number for number, datum in between if datum != FOREIGN and _concerns(uuid, wire.decode(datum))]


def _datum(dice: random.Random, number: int) -> bytes:
    to = dice.sample(PEOPLE, dice.randint(1, 2))
    message = Message(message_raw=str(number))
    made: list[bytes] = [
        wire.deliver(message, to),
        wire.deliver(message, to, groups=("g",)),
        wire.deliver_to_all(message, exclude=None, origin="n1"),
        wire.encode(wire.Membership(dice.choice(PEOPLE), "s", "g", dice.random() < 0.5, "")),
        FOREIGN,
        wire.encode(wire.Echo("t")),
    ]
    return made[dice.randrange(len(made))] if number % 7 else made[2]


def _concerns(uuid: str, envelope: wire.Envelope) -> bool:
    if isinstance(envelope, wire.Membership):
        return envelope.client == uuid
    return isinstance(envelope, wire.Deliver) and (envelope.to is None or bool(envelope.groups) or uuid in envelope.to)


def shared(log: Log) -> Replays:
    return Replays(cast(Bus, log))


async def found(replays: Replays, uuid: str, since: int, until: int, **more: Any) -> list[int] | None:
    missed = await replays.of(uuid, more.get("epoch", "1"), more.get("node", "n1"), since, until)
    return None if missed is None else [number for number, _ in missed]


@pytest.mark.parametrize("seed", range(30))
async def test_c7_each_gets_what_a_reading_of_its_own_would_have_found(seed: int) -> None:
    """Whoever comes first, wherever they were, together or one after another, with or without a part that is gone."""
    dice = random.Random(seed)
    log = Log(dice)
    log.forgotten = dice.choice((0, 0, 20))
    replays = shared(log)
    asked = []
    for _ in range(20):
        since = dice.randrange(250)
        asked.append((dice.choice(PEOPLE), since, dice.randrange(since, 260)))
    answers: list[tuple[tuple[str, int, int], list[int] | None]] = []
    while asked:
        some, asked = asked[: (count := dice.randint(1, 5))], asked[count:]
        answers += zip(some, await asyncio.gather(*(found(replays, *one) for one in some)), strict=True)
    for one, answer in answers:
        assert answer == log.missed(*one), one


async def test_c7_a_thousand_that_come_back_together_cost_hardly_more_than_one() -> None:
    log = Log(random.Random(1))
    replays = shared(log)
    await asyncio.gather(*(found(replays, f"c{number}", number % 50, 240) for number in range(1000)))
    assert log.read <= len(log.data)
    assert log.reads <= 51


async def test_logs_and_epochs_are_not_mixed_up() -> None:
    log = Log(random.Random(1))
    replays = shared(log)
    await found(replays, "ann", 0, 240)
    for other in ({"node": "n2"}, {"node": None}, {"epoch": "2"}):
        reads = log.reads
        assert await found(replays, "ann", 0, 240, **other) == log.missed("ann", 0, 240)
        assert log.reads == reads + 1


async def test_what_was_read_is_not_kept_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gobroke_dist.replays._KEPT_SECONDS", 0.0)
    log = Log(random.Random(1))
    replays = shared(log)
    await found(replays, "ann", 0, 240)
    await eventually(lambda: not replays._parts)
