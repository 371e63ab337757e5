"""An inbox with a log in memory: order, gaps, repetitions, and a log that has lost something."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from gobroke_dist.backends.redis.inbox import Inbox, Kept, News
from gobroke_dist.errors import RedisUnavailable
from gobroke_dist.metrics import Metrics
from gobroke_dist.wire.channel import Post, Probe
from tests.eventually import eventually


class Log:
    """Two channels, as Redis keeps them."""

    def __init__(self) -> None:
        self.epoch, self.number, self.begun = "a", 0, 0
        self.posts: list[list[Post]] = [[], []]
        self.down = 0
        self.calls = 0

    def post(self, channel: int) -> Post:
        self.number += 1
        post = Post(self.epoch, self.number, self.last(channel), b"%d" % self.number)
        self.posts[channel].append(post)
        return post

    def last(self, channel: int) -> int:
        return self.posts[channel][-1].number if self.posts[channel] else 0

    async def catch_up(self, epoch: str, known: Sequence[int], most: int) -> News:
        await asyncio.sleep(0)
        self.calls += 1
        if self.down:
            self.down -= 1
            raise RedisUnavailable("down")
        other = epoch not in ("", self.epoch)
        since = [self.begun] * 2 if other else known
        kept = [[post for post in self.posts[at] if post.number > since[at]][:most] for at in range(2)]
        return News(self.epoch, other, [Kept(self.last(at), kept[at]) for at in range(2)])


class Listening:
    """An inbox, and what it has handed over."""

    def __init__(self, *, limit: int = 1000) -> None:
        self.log, self.metrics = Log(), Metrics()
        self.got: list[int] = []
        self.inbox = Inbox(
            2, self.log.catch_up, lambda data: self.got.append(int(data)), limit=limit, metrics=self.metrics
        )

    async def has(self, *numbers: int) -> None:
        await eventually(lambda: self.got == list(numbers), within=2)


@pytest.fixture
async def listening() -> Listening:
    made = Listening()
    await made.inbox.open()
    return made


async def test_r5_what_arrives_is_handed_over_at_once_and_only_once(listening: Listening) -> None:
    first, second = listening.log.post(0), listening.log.post(1)
    for channel, post in ((0, first), (1, second), (0, first), (1, second)):
        listening.inbox.take(channel, post)
    assert listening.got == [1, 2]
    assert listening.log.calls == 1  # opening


async def test_what_was_published_before_is_not_handed_over() -> None:
    made = Listening()
    made.log.post(0)
    made.log.post(1)
    await made.inbox.open()
    made.inbox.take(1, made.log.post(1))
    assert made.got == [3]


async def test_c8_a_gap_is_filled_and_what_comes_meanwhile_waits(listening: Listening) -> None:
    log = listening.log
    listening.inbox.take(0, log.post(0))
    log.post(0)
    log.post(1)
    listening.inbox.take(0, log.post(0))
    listening.inbox.take(1, log.post(1))
    assert listening.got == [1]
    await listening.has(1, 2, 3, 4, 5)
    assert listening.metrics.counts["bus_lost"] == 0


async def test_c8_the_last_message_before_a_silence_is_found_by_a_probe(listening: Listening) -> None:
    log = listening.log
    log.post(1)
    listening.inbox.probed(Probe("a", 0, 1))
    await listening.has(1)
    listening.inbox.probed(Probe("a", 0, 1))
    assert log.calls == 2


async def test_c8_a_gap_waits_for_redis(listening: Listening) -> None:
    listening.log.post(0)
    listening.log.down = 2
    listening.inbox.take(0, listening.log.post(0))
    await listening.has(1, 2)


async def test_c8_more_than_can_wait_is_read_again() -> None:
    made = Listening(limit=3)
    await made.inbox.open()
    made.log.post(0)
    for _ in range(20):
        made.inbox.take(0, made.log.post(0))
    await made.has(*range(1, 22))


async def test_c8_large_gaps_are_read_in_parts_in_the_order_of_both_channels(listening: Listening) -> None:
    dice = random.Random(1)
    for _ in range(3000):
        listening.log.post(dice.random() < 0.8)
    listening.inbox.fill()
    await listening.has(*range(1, 3001))


@pytest.mark.parametrize("seed", range(20))
async def test_c8_whatever_is_missed_or_repeated_comes_once_and_in_the_order_of_its_channel(seed: int) -> None:
    dice = random.Random(seed)
    made = Listening(limit=dice.choice([2, 10, 1000]))
    await made.inbox.open()
    for _ in range(400):
        channel = dice.randrange(2)
        post = made.log.post(channel)
        for _ in range(dice.choice([0, 1, 1, 1, 2])):
            made.inbox.take(channel, post)
        made.log.down = dice.random() < 0.05
        if dice.random() < 0.2:
            await asyncio.sleep(0)
    made.inbox.probed(Probe("a", made.log.last(0), made.log.last(1)))
    await eventually(lambda: len(made.got) >= 400, within=2)
    assert sorted(made.got) == list(range(1, 401))
    for posts in made.log.posts:
        mine = [post.number for post in posts]
        assert [number for number in made.got if number in mine] == mine


@pytest.mark.parametrize("seed", range(20))
async def test_r5_c8_through_cut_connections_the_order_is_that_of_both_channels(seed: int) -> None:
    dice = random.Random(seed)
    made = Listening(limit=dice.choice([2, 10, 1000]))
    await made.inbox.open()
    connected = True
    for _ in range(400):
        channel = dice.randrange(2)
        post = made.log.post(channel)
        if connected:
            made.inbox.take(channel, post)
        if dice.random() < 0.1:
            connected = not connected
            if connected:
                made.inbox.fill()
        made.log.down = dice.random() < 0.05
        if dice.random() < 0.2:
            await asyncio.sleep(0)
    made.inbox.fill()
    await made.has(*range(1, 401))


async def test_a_log_that_has_not_kept_all_is_reported(listening: Listening) -> None:
    for _ in range(5):
        listening.log.post(0)
    del listening.log.posts[0][:3]
    listening.inbox.fill()
    await listening.has(4, 5)
    assert listening.metrics.counts["bus_lost"] == 1


async def test_a_log_that_is_gone_is_reported(listening: Listening) -> None:
    listening.log.posts[0].append(Post("a", 7, 0, b"7"))
    kept = listening.log.posts[0].pop()
    listening.inbox.probed(Probe("a", 7, 0))
    listening.log.last = lambda channel: 7 if channel == 0 else 0  # type: ignore[method-assign]
    await eventually(lambda: listening.metrics.counts["bus_lost"] == 1, within=2)
    listening.inbox.take(0, kept)
    assert listening.got == []


async def test_c10_of_an_emptied_redis_all_is_new(listening: Listening) -> None:
    for _ in range(50):
        listening.inbox.take(0, listening.log.post(0))
    listening.log.epoch, listening.log.number, listening.log.posts = "b", 0, [[], []]
    listening.log.post(0)
    listening.inbox.take(0, listening.log.post(0))
    await listening.has(*range(1, 51), 1, 2)
    assert listening.metrics.counts["bus_epochs"] == 1


async def test_c10_of_a_redis_of_an_older_state_what_follows_it_is_new(listening: Listening) -> None:
    for _ in range(50):
        listening.inbox.take(0, listening.log.post(0))
    listening.log.posts[0], listening.log.number = listening.log.posts[0][:40], 40
    listening.log.epoch, listening.log.begun = "b", 40
    listening.inbox.fill()
    await eventually(lambda: listening.metrics.counts["bus_epochs"] == 1, within=2)
    listening.inbox.take(0, listening.log.post(0))
    await listening.has(*range(1, 51), 41)


async def test_closed_it_hands_nothing_over(listening: Listening) -> None:
    listening.log.post(0)
    listening.inbox.fill()
    listening.inbox.close()
    for _ in range(20):
        await asyncio.sleep(0)
    assert listening.got == []
