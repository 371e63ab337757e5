"""Who is told how a WORKER's message ended, and in which words."""

from __future__ import annotations

from typing import Any

import dramatiq
import pytest

from gobroke_dist.client import Client
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.outlet import Task
from gobroke_dist.tasks import notices
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.wire import node as wire


def sent(*, receipt: bool = False, reply_to: ReplyTo | None = None) -> dramatiq.Message[Any]:
    message = Message(from_client=Client("ann", node="edge-1", session="s1"), message_raw=b"1", uuid="m1")
    message.receipt, message.reply_to = receipt, reply_to
    return to_dramatiq(Task("chat", None, message))


def test_who_wants_to_hear_nothing_hears_nothing() -> None:
    assert notices.done(sent(), prefix="p") == []
    assert notices.dead(sent(), "attempts", prefix="p") == []


def test_c11_a_receipt_goes_to_the_node_of_the_client() -> None:
    [done] = notices.done(sent(receipt=True), prefix="p")
    [dead] = notices.dead(sent(receipt=True), "crashed", prefix="p")
    assert [one.channel.name for one in (done, dead)] == ["p:node:edge-1"] * 2
    assert wire.decode(done.data) == wire.Receipt("ann", "m1", "chat", "done")
    assert wire.decode(dead.data) == wire.Receipt("ann", "m1", "chat", "dead", "crashed")


def test_c11_who_asked_hears_of_a_death_and_of_nothing_else() -> None:
    """That the message is done says nothing of an answer: its handler may give it later, or has given it."""
    asked = sent(reply_to=ReplyTo("worker-2", "r1"))
    assert notices.done(asked, prefix="p") == []
    [dead] = notices.dead(asked, "attempts", prefix="p")
    assert dead.channel.name == "p:node:worker-2"
    assert wire.decode(dead.data) == wire.Answer("r1", wire.Sender(None, "chat"), b"", "attempts")


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"message": 7},
        {"message": {"receipt": True}},
        {"message": {"receipt": True, "from_client": {"uuid": "ann"}}},
        {"message": {"receipt": True, "from_client": 7, "reply_to": 7}},
    ],
)
def test_w17_what_another_tool_has_queued_tells_nobody(kwargs: dict[str, Any]) -> None:
    foreign: dramatiq.Message[Any] = dramatiq.Message("chat", "chat", (), kwargs, {})
    assert notices.done(foreign, prefix="p") == []
    assert notices.dead(foreign, "invalid", prefix="p") == []
