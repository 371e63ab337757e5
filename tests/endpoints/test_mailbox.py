"""A mailbox without a server: what its polls are answered with, and when it is done (contract C7, E4, E5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from endpoints.event_protocol import EventProtocol
from endpoints.hello import introduced
from endpoints.mailbox import Answer, Mailbox
from endpoints.place import Place
from gobroke_dist.errors import BrokeError, RedisUnavailable
from gobroke_dist.session import CloseCode
from tests.endpoints.fake import FakeGateway
from tests.eventually import eventually


class Post:
    """A mailbox, and what its client does.

    Attributes:
        forgotten: whether nobody may ask for it any more.
    """

    def __init__(self, gateway: FakeGateway) -> None:
        hello = introduced([("client", "ann"), ("recover", "1")], transport="poll")
        self.gateway = gateway
        self.forgotten = False
        self.box = Mailbox(gateway, EventProtocol(), hello, gateway.door.seat("10.0.0.1"), self._forget)

    def _forget(self, box: Mailbox) -> None:
        assert box is self.box
        self.forgotten = True

    def tell(self, *numbers: int) -> None:
        for number in numbers:
            self.box.session.push(b'%d\n{"n":%d}' % (number, number))

    async def poll(self, seen: int | None = None, wait: float = 0) -> Answer:
        place = None if seen is None else Place("ann", self.box.session.token, seen)
        return await self.box.collect(place, wait)


def told(answer: Answer) -> list[Any]:
    return [json.loads(bytes(frame)).get("n") for frame in answer.frames]


def at(answer: Answer) -> int:
    return Place.read(answer.next).offset


Made = Callable[..., Awaitable[Post]]


@pytest.fixture
def made() -> Made:
    async def make(**settings: Any) -> Post:
        post = Post(FakeGateway(**settings))
        await post.box.connect()
        assert len((await post.poll()).frames) == 1  # its welcome
        return post

    return make


async def test_c7_an_answer_is_the_same_until_a_place_shows_that_it_has_come(made: Made) -> None:
    post = await made()
    post.tell(1, 2)
    first = await post.poll(0)
    post.tell(3)
    again = await post.poll(0)
    assert (told(first), at(first)) == (told(again), at(again)) == ([1, 2], 2)
    assert told(await post.poll(2)) == [3]
    assert told(await post.poll(3)) == []


async def test_c7_who_is_elsewhere_or_shows_another_token_does_not_go_on_here(made: Made) -> None:
    post = await made()
    post.tell(1, 2)
    await post.poll(0)
    token = post.box.session.token
    assert [post.box.is_at(Place("ann", token, n)) for n in range(4)] == [True, False, True, False]
    assert not post.box.is_at(Place("ann", token + "x", 2))
    assert not post.box.is_at(Place("ann", "é", 2))


async def test_c7_what_has_no_place_does_not_move_the_client(made: Made) -> None:
    post = await made()
    post.tell(1)
    post.box.session.push(b'\n{"n":"reply"}')
    answer = await post.poll(0)
    assert (told(answer), at(answer)) == ([1, "reply"], 1)


async def test_e1_of_two_polls_at_once_the_older_is_answered_with_nothing(made: Made) -> None:
    post = await made()
    older = asyncio.create_task(post.poll(0, wait=5))
    await asyncio.sleep(0)
    newer = asyncio.create_task(post.poll(0, wait=5))
    await asyncio.sleep(0)
    post.tell(1)
    assert (told(await older), told(await newer)) == ([], [1])


async def test_e1_a_poll_waits_as_long_as_it_may_and_no_longer(made: Made) -> None:
    post = await made()
    polling = asyncio.create_task(post.poll(0, wait=5))
    await asyncio.sleep(0)
    assert not polling.done()
    post.tell(1)
    assert told(await polling) == [1]
    assert told(await asyncio.wait_for(post.poll(1, wait=0.01), 1)) == []


async def test_e5_what_waits_comes_before_the_end_and_the_end_is_told_once(made: Made) -> None:
    post = await made()
    post.tell(1, 2)
    post.box.session.close(CloseCode.GOING_AWAY, "bye", retry_after=7)
    await post.box.ended()
    assert post.gateway.disconnected == [post.box.session]
    assert post.gateway.door.inside == 0
    answers = [await post.poll(0), await post.poll(1)]
    assert [told(answer) for answer in answers] == [[1], [2]]
    assert answers[0].closed is not answers[1].closed
    assert json.loads(bytes(answers[1].closed)) == {  # type: ignore[arg-type]
        "type": "closed",
        "code": 1001,
        "reason": "bye",
        "retry_after": 7,
    }
    assert post.forgotten


async def test_e4_a_full_mailbox_is_closed_and_its_client_told_to_come_back(made: Made) -> None:
    post = await made(channel_size=3)
    post.tell(1, 2, 3, 4)
    answer = await post.poll(0)
    assert told(answer) == []
    closed = json.loads(bytes(answer.closed))  # type: ignore[arg-type]
    assert closed["code"] == CloseCode.SLOW_CONSUMER
    assert 1000 <= closed["retry_after"] < 5000


async def test_e6_without_a_poll_it_lapses_and_a_poll_that_waits_keeps_it(made: Made) -> None:
    post = await made(ping_timeout=0.1)
    assert told(await post.poll(0, wait=0.3)) == []
    assert not post.forgotten
    await eventually(lambda: post.forgotten)
    assert post.box.session.close_code is CloseCode.PING_TIMEOUT
    await post.box.ended()
    assert post.gateway.disconnected == [post.box.session]


async def test_c2_who_was_replaced_is_forgotten_at_once(made: Made) -> None:
    """What its client shows is good elsewhere: it may not find this one."""
    post = await made()
    post.box.session.close(CloseCode.REPLACED)
    assert post.forgotten
    await post.box.ended()


async def test_e3_who_is_not_let_in_takes_no_seat() -> None:
    gateway = FakeGateway()
    gateway.refuse = RedisUnavailable("it is away")
    post = Post(gateway)
    assert gateway.door.inside == 1
    with pytest.raises(BrokeError):
        await post.box.connect()
    assert (gateway.door.inside, gateway.disconnected) == (0, [post.box.session])
