"""Frames that come outside of connections: which session they go to, in which order, and what is said of them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gobroke_dist.client import Client
from gobroke_dist.errors import (
    BrokeError,
    ClientDoesNotExist,
    FrameInvalid,
    LogicDoesNotExist,
    Unauthorised,
    Unavailable,
)
from gobroke_dist.message import Message
from gobroke_dist.posting import Posting
from gobroke_dist.request import Outcome
from gobroke_dist.session import CloseCode, OutboxLimits, Recovery, Session
from gobroke_dist.wire import node as wire
from gobroke_dist.wire.frame import JSONProtocol

FRAME = b'{"to_logic":"x","data":1,"uuid":"m1"}'


class Hall:
    """A node with one client, and a neighbour who answers what it is told to.

    Attributes:
        answer: of the other node; an exception is raised.
        wrong: what is wrong with each message.
        hold: while it is not set, the first message takes its time.
        handled: the payloads, in order.
        counted: what was refused.
    """

    def __init__(self) -> None:
        self.answer: wire.Taken | bytes | Exception = wire.Taken("m1", "", "", None, 0.0)
        self.wrong: BrokeError | None = None
        self.hold = asyncio.Event()
        self.hold.set()
        self.begun = 0
        self.handled: list[bytes] = []
        self.counted: list[str] = []
        self.asked: list[tuple[str, Any]] = []
        self.places = {"ben": "n2", "lost": "n1"}
        self.session = Session(Client(uuid="ann"), JSONProtocol(), OutboxLimits(10, 1000), lambda: None, Recovery())
        self.session.secret, self.session.epoch = b"s", "e"
        self.session.opened()
        runtime = SimpleNamespace(
            hub={"ann": self.session},
            node="n1",
            registry=SimpleNamespace(locate=self._locate),
            bus=SimpleNamespace(request=self._request),
            settings=SimpleNamespace(request_timeout=1.0),
        )
        reception = SimpleNamespace(
            handle=self._handle,
            no_message=lambda _, error: error,
            refused=lambda error: self.counted.append(error.code),
        )
        self.posting = Posting(cast(Any, runtime), cast(Any, reception), lambda *_: None)

    async def _locate(self, uuids: list[str]) -> dict[str, Any]:
        return {uuid: SimpleNamespace(node=self.places[uuid]) for uuid in uuids if uuid in self.places}

    async def _request(self, node: str, body: bytes, *, timeout: float) -> bytes:
        self.asked.append((node, wire.decode(body)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, bytes) else wire.encode(self.answer)

    async def _handle(self, session: Session, message: Message) -> None:
        self.begun += 1
        if self.begun == 1:
            await self.hold.wait()
        if self.wrong is not None:
            raise self.wrong
        self.handled.append(message.message_raw)


@pytest.fixture
def hall() -> Hall:
    return Hall()


async def test_e1_a_frame_goes_to_the_node_of_its_client_with_what_was_shown(hall: Hall) -> None:
    assert await hall.posting.post("ben", "s.e", FRAME) == Outcome("m1")
    assert hall.asked == [("n2", wire.Posted("ben", "s.e", FRAME))]


@pytest.mark.parametrize(
    "answer", [TimeoutError(), FrameInvalid("no"), b"\xff", wire.encode(wire.Posted("ben", "s.e", FRAME))]
)
async def test_r6_of_a_node_that_does_not_answer_it_is_not_known_what_it_did(hall: Hall, answer: Any) -> None:
    hall.answer = answer
    with pytest.raises(Unavailable, match="same uuid"):
        await hall.posting.post("ben", "s.e", FRAME)


async def test_r6_who_is_registered_nowhere_or_here_and_gone_is_not_connected(hall: Hall) -> None:
    for uuid in ("nobody", "lost"):
        with pytest.raises(ClientDoesNotExist):
            await hall.posting.post(uuid, "s.e", FRAME)
    assert hall.asked == []


async def test_e2_what_the_other_node_refuses_is_refused_here_alike(hall: Hall) -> None:
    for error, kind in ((Unauthorised("no"), Unauthorised), (ClientDoesNotExist("ben"), ClientDoesNotExist)):
        hall.answer = wire.Taken(None, error.code, str(error), None, 0.0)
        with pytest.raises(kind) as raised:
            await hall.posting.post("ben", "s.e", FRAME)
        assert str(raised.value) == str(error)
    hall.answer = wire.Taken("m1", "rate_limited", "too fast", None, 2.5)
    assert await hall.posting.post("ben", "s.e", FRAME) == Outcome("m1", "rate_limited", "too fast", None, 2.5)


@pytest.mark.parametrize("token", ["", ".", "x.e", "s.f", "é", "s.e "])
async def test_e2_only_the_token_of_the_session_opens_it(hall: Hall, token: str) -> None:
    with pytest.raises(Unauthorised):
        await hall.posting.post("ann", token, FRAME)
    assert (await hall.posting.posted(wire.Posted("ann", token, FRAME))).code == "unauthorised"
    assert hall.handled == []


async def test_e2_a_session_that_nobody_can_come_back_to_has_no_token(hall: Hall) -> None:
    hall.session.secret = b""
    with pytest.raises(Unauthorised):
        await hall.posting.post("ann", hall.session.token, FRAME)


async def test_w3_frames_are_processed_in_the_order_in_which_they_came(hall: Hall) -> None:
    hall.hold.clear()
    frames = [b'{"to_logic":"x","data":%d}' % n for n in range(5)]
    posts = [asyncio.create_task(hall.posting.post("ann", "s.e", frame)) for frame in frames]
    await asyncio.sleep(0.01)
    assert hall.handled == []
    hall.hold.set()
    await asyncio.gather(*posts)
    assert hall.handled == [b"0", b"1", b"2", b"3", b"4"]


async def test_e5_what_waits_behind_a_goodbye_is_not_taken(hall: Hall) -> None:
    hall.hold.clear()
    first, goodbye, late = (
        asyncio.create_task(hall.posting.post("ann", "s.e", frame)) for frame in (FRAME, b'{"close":1001}', FRAME)
    )
    await asyncio.sleep(0)
    hall.hold.set()
    assert (await first, await goodbye) == (Outcome("m1"), Outcome(None))
    with pytest.raises(ClientDoesNotExist):
        await late
    assert hall.session.close_code is CloseCode.GOING_AWAY
    assert hall.handled == [b"1"]


async def test_r6_what_is_wrong_is_in_the_answer_and_counted(hall: Hall) -> None:
    bad = await hall.posting.post("ann", "s.e", b"{")
    assert (bad.uuid, bad.code) == (None, "frame_invalid")
    hall.wrong = LogicDoesNotExist("x")
    taken = await hall.posting.posted(wire.Posted("ann", "s.e", FRAME))
    assert (taken.uuid, taken.code) == ("m1", "logic_does_not_exist")
    assert hall.counted == ["frame_invalid", "logic_does_not_exist"]
    assert hall.session.pending == 0


async def test_r8_who_posts_no_more_leaves_no_lock_behind(hall: Hall) -> None:
    await hall.posting.post("ann", "s.e", FRAME)
    assert len(hall.posting._turns) == 0
