from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gobroke_dist.client import Client
from gobroke_dist.errors import FrameInvalid
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.wire.task import from_kwargs, to_kwargs


def back(message: Message, key: str | None = "k") -> Message:
    return from_kwargs("chat", to_kwargs(message, key), uuid=message.uuid)


def test_what_is_empty_or_stands_around_it_is_left_out() -> None:
    assert to_kwargs(Message(message_raw="hi", uuid="u"), "k") == {"message": {"key": "k", "text": "hi"}}
    assert to_kwargs(Message(message_raw=b"\xff", from_client=Client("ann")), None) == {
        "message": {"base64": "/w==", "from_client": {"uuid": "ann"}}
    }


def test_everything_else_comes_back() -> None:
    sender = Client("ann", {"a": 1}, datetime(2026, 1, 1, tzinfo=UTC), "n1", "s1")
    message = Message(
        to_client=["bob", "eve"],
        to_group="room",
        from_client=sender,
        from_logic="other",
        message_raw="hi",
        metadata={"x": [1, None]},
    )
    message.reply_to = ReplyTo("edge-1", "r1")
    got = back(message)
    for name in ("uuid", "to_client", "to_group", "from_logic", "message_raw", "metadata", "reply_to"):
        assert getattr(got, name) == getattr(message, name)
    assert got.from_client is not None
    assert (got.from_client.node, got.from_client.session, got.from_client.metadata) == ("n1", "s1", {"a": 1})
    bare = back(Message(message_raw=b""))
    assert (bare.to_client, bare.from_client, bare.from_logic, bare.metadata) == ((), None, None, {})


def test_the_form_of_the_first_version_is_read_as_well() -> None:
    body: dict[str, Any] = {"uuid": "inner", "key": "k", "text": "hi", "metadata": {}, "to_client": []}
    old = from_kwargs("chat", {"message": {**body, "from_logic": None, "from_client": None}}, uuid="outer")
    assert (old.uuid, old.message_raw, old.from_client) == ("inner", b"hi", None)
    client = {"uuid": "ann", "node": "n1", "session": "s1", "metadata": {}}
    old = from_kwargs("chat", {"message": {**body, "from_client": client}})
    assert old.from_client == Client("ann")


@pytest.mark.parametrize(
    "kwargs",
    [{}, {"message": 7}, {"message": {}}, {"message": {"base64": "?"}}, {"message": []}]
    + [{"message": {"text": "", "reply_to": wrong}} for wrong in ("r", 7, ["edge-1"], ["edge-1", 7], [None, "r"])],
)
def test_something_else_is_refused_with_its_queue(kwargs: dict[str, Any]) -> None:
    with pytest.raises(FrameInvalid, match="'chat'"):
        from_kwargs("chat", kwargs, uuid="u")
