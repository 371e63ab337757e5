"""Who gets a message: the whole decision as a table."""

from __future__ import annotations

import pytest

from gobroke_dist.client import Client
from gobroke_dist.logic import LogicType
from gobroke_dist.message import Message
from gobroke_dist.routing import Route, View, route

VIEW = View(
    logics={
        "echo": LogicType.DISPATCHED,
        "chat": LogicType.WORKER,
        "clock": LogicType.PASSIVE,
    },
    here={"ann"},
)
ANN = Client(uuid="ann")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(Message(), Route(), id="no recipients"),
        pytest.param(Message(to_client="ann"), Route(local=("ann",)), id="local client"),
        pytest.param(Message(to_client="ben"), Route(elsewhere=("ben",)), id="client elsewhere"),
        pytest.param(
            Message(to_client=["ben", "ann", "dan", "ben"]),
            Route(local=("ann",), elsewhere=("ben", "dan")),
            id="here and elsewhere",
        ),
        pytest.param(Message(to_client=["ann", "ann"]), Route(local=("ann",)), id="named twice, delivered once"),
        pytest.param(
            Message(from_client=ANN, to_client="ann"), Route(local=("ann",)), id="a client may write to itself"
        ),
        pytest.param(Message(to_all=True), Route(everyone=True), id="everyone"),
        pytest.param(
            Message(from_client=ANN, to_all=True), Route(everyone=True, exclude="ann"), id="everyone but the sender"
        ),
        pytest.param(
            Message(from_logic="chat", to_all=True, to_client="eve"), Route(everyone=True), id="everyone includes each"
        ),
        pytest.param(Message(to_group="room"), Route(groups=("room",)), id="a group"),
        pytest.param(
            Message(to_group=["room", "hall", "room"], to_client=["ann", "dan"]),
            Route(groups=("room", "hall"), local=("ann",), elsewhere=("dan",)),
            id="groups beside clients, each named once",
        ),
        pytest.param(
            Message(from_client=ANN, to_group="room"),
            Route(groups=("room",), exclude="ann"),
            id="a group but the sender",
        ),
        pytest.param(
            Message(from_client=ANN, to_group="room", exclude_sender=False),
            Route(groups=("room",)),
            id="a group with the sender",
        ),
        pytest.param(
            Message(from_client=ANN, to_all=True, exclude_sender=False), Route(everyone=True), id="really everyone"
        ),
        pytest.param(Message(to_all=True, to_group="room"), Route(everyone=True), id="everyone includes each group"),
        pytest.param(Message(to_logic="echo"), Route(dispatched=("echo",)), id="dispatched"),
        pytest.param(Message(to_logic="chat"), Route(workers=("chat",)), id="worker"),
        pytest.param(Message(to_logic="clock"), Route(passive=("clock",)), id="passive"),
        pytest.param(Message(to_logic="ghost"), Route(unknown_logics=("ghost",)), id="unknown logic"),
        pytest.param(
            Message(to_logic=["echo", "chat", "echo"]), Route(dispatched=("echo",), workers=("chat",)), id="each once"
        ),
    ],
)
def test_r3_r7_route_is_a_pure_decision(message: Message, expected: Route) -> None:
    """Every recipient of a message is in exactly one field of its route."""
    assert route(message, VIEW) == expected


def test_r3_seed_defect_remote_recipients_do_not_multiply_logic() -> None:
    """However many nodes the recipients sit on, the logic is named once, and nothing that crosses names it."""
    message = Message(to_client=["ann", "ben", "cid", "dan"], to_logic="chat")
    routed = route(message, VIEW)
    assert routed.workers == ("chat",)
    assert routed.elsewhere == ("ben", "cid", "dan")
