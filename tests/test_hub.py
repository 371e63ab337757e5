"""Delivery to the clients of one node."""

from __future__ import annotations

import json
from typing import cast

from gobroke_dist.client import Client
from gobroke_dist.endpoint import Endpoint
from gobroke_dist.hub import Hub
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.session import CloseCode, FrameProtocol, OutboxLimits, Session
from gobroke_dist.wire.frame import JSONProtocol, RawProtocol

NOWHERE = cast(Endpoint, object())


class Counting(JSONProtocol):
    """JSON that counts how often it encodes."""

    encoded = 0

    def encode(self, message: Message) -> bytes:
        self.encoded += 1
        return super().encode(message)


def joined(hub: Hub, uuid: str, protocol: FrameProtocol, frames: int = 10) -> Session:
    session = Session(Client(uuid=uuid), protocol, OutboxLimits(frames, 10_000), lambda: None)
    session.opened()
    hub.add(session, NOWHERE)
    return session


def test_r4_a_broadcast_is_encoded_once_per_protocol_and_skips_its_sender() -> None:
    hub, protocol = Hub(Metrics()), Counting()
    sessions = [joined(hub, f"c{n}", protocol) for n in range(5)]
    raw = joined(hub, "raw", RawProtocol("x"))
    hub.deliver_to_all(Message(message_raw=b"1"), exclude="c0")
    assert protocol.encoded == 1
    assert [session.pending for session in sessions] == [0, 1, 1, 1, 1]
    assert raw.take() == [b"1"]


def test_who_is_not_here_is_returned() -> None:
    hub = Hub(Metrics())
    session = joined(hub, "here", JSONProtocol())
    assert hub.deliver(Message(message_raw=b"1"), ["here", "there"]) == ("there",)
    assert json.loads(session.take()[0])["data"] == 1


def test_e4_drops_are_counted_with_their_reason() -> None:
    metrics = Metrics()
    hub = Hub(metrics)
    joined(hub, "slow", RawProtocol("x"), frames=1)
    joined(hub, "leaving", RawProtocol("x")).close(CloseCode.REMOVED)
    for _ in range(3):
        hub.deliver_to_all(Message(message_raw=b"1"))
    assert metrics.counts == {"delivered": 1}
    assert metrics.drops == {"slow_consumer": 2, "closing": 3}


def test_r8_a_message_that_cannot_be_encoded_is_counted_and_stops_nothing() -> None:
    metrics = Metrics()
    hub = Hub(metrics)
    joined(hub, "json", JSONProtocol())
    raw = joined(hub, "raw", RawProtocol("x"))
    hub.deliver_to_all(Message(message_raw=b"1", metadata={"x": object()}))
    assert metrics.drops == {"not_encodable": 1}
    assert raw.take() == [b"1"]


def test_a_session_that_was_replaced_does_not_take_its_successor_along() -> None:
    hub = Hub(Metrics())
    old, new = joined(hub, "c", JSONProtocol()), joined(hub, "c", JSONProtocol())
    assert hub.get("c") is new
    assert hub.remove(old)
    assert hub.get("c") is new
    assert hub.remove(new)
    assert not hub.remove(new)
    assert len(hub) == 0


def test_c2_a_session_gets_its_place_back_unless_it_is_on_its_way_out() -> None:
    """The session that had taken it could not be registered."""
    hub = Hub(Metrics())
    for ends in (False, True):
        old = joined(hub, "c", JSONProtocol())
        new = Session(Client(uuid="c"), JSONProtocol(), OutboxLimits(1, 1), lambda: None)
        assert hub.add(new, NOWHERE) is old
        assert (hub.find(old.id), hub.get("c")) == (old, new)
        if ends:
            old.close(CloseCode.REPLACED)
        hub.remove(new)
        hub.restore(old)
        assert hub.get("c") is (None if ends else old)
        hub.remove(old)
        hub.restore(old)
        assert "c" not in hub
