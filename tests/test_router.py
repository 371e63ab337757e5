"""The router over an outlet that only takes notes: what goes where, in which order, and who is told of errors."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pydantic import BaseModel

from gobroke_dist import (
    Client,
    ClientDoesNotExist,
    GroupInvalid,
    LogicBase,
    LogicDoesNotExist,
    LogicIsPassive,
    LogicType,
    Message,
    MessageRejected,
    PayloadInvalid,
    Tick,
)
from gobroke_dist.backends.memory.cluster import MemoryCluster
from gobroke_dist.backends.memory.registry import MemoryRegistry
from gobroke_dist.clock import SystemClock
from gobroke_dist.hub import Hub
from gobroke_dist.metrics import Metrics
from gobroke_dist.outlet import Task
from gobroke_dist.registry import Member
from gobroke_dist.router import Router
from gobroke_dist.wire import node as wire


class Move(BaseModel):
    x: int


class Echo(LogicBase):
    async def run_logic(self, message: Message) -> None:
        """Nothing: these tests only route."""


class Game(Echo):
    logic_type = LogicType.WORKER
    order_by = "client"
    payload = Move


class Clock(LogicBase):
    logic_type = LogicType.PASSIVE
    every = 1

    async def run_tick(self, tick: Tick) -> None:
        """Nothing."""


class Notes:
    """An outlet that carries nothing out, and finds these clients nowhere."""

    def __init__(self, gone: tuple[str, ...] = (), *, deferred: bool = False) -> None:
        self.taken: list[tuple[object, ...]] = []
        self.deferred = deferred
        self._gone = gone

    def send(self, data: bytes, uuids: Sequence[str], groups: Sequence[str] = ()) -> None:
        self.taken.append(("send", (*uuids, *groups), data))

    def publish(self, node: str, data: bytes) -> None:
        self.taken.append(("publish", node, data))

    def broadcast(self, data: bytes) -> None:
        self.taken.append(("broadcast", data))

    def enqueue(self, task: Task) -> None:
        self.taken.append(("enqueue", task.logic, task.key, task.message.payload))

    def dispatch(self, logic: str, message: Message) -> None:
        self.taken.append(("dispatch", logic, message.message_raw))

    async def settled(self) -> tuple[str, ...]:
        gone, self._gone = self._gone, ()
        return gone


class Setting:
    """One router, and a cluster in which ``ben`` and ``cid`` sit on another node."""

    def __init__(self, cluster: MemoryCluster) -> None:
        self.metrics = Metrics()
        self.registry = MemoryRegistry(cluster, 60)
        self.router = Router(
            node="here",
            logics={"echo": Echo("echo"), "game": Game("game"), "clock": Clock("clock")},
            registry=self.registry,
            hub=Hub(self.metrics),
            metrics=self.metrics,
            receive_middleware=[],
            send_middleware=[],
        )


@pytest.fixture
async def setting() -> Setting:
    cluster = MemoryCluster(SystemClock())
    there = MemoryRegistry(cluster, 60)
    await there.join(Member(node="there", role="edge"))
    for uuid in ("ben", "cid"):
        await there.register(Client(uuid=uuid, node="there", session=f"session of {uuid}"))
    made = Setting(cluster)
    await made.registry.join(Member(node="here", role="edge"))
    return made


async def test_r4_one_sending_whatever_the_number_of_clients(setting: Setting) -> None:
    """Two clients elsewhere are one sending, which names both."""
    notes = Notes()
    await setting.router.send(Message(to_client=["ben", "cid"], message_raw=b"hi", from_logic="x"), notes)
    [(kind, uuids, data)] = notes.taken
    assert (kind, uuids) == ("send", ("ben", "cid"))
    envelope = wire.decode(data)  # type: ignore[arg-type]
    assert isinstance(envelope, wire.Deliver)
    assert (envelope.to, envelope.raw, envelope.sender.logic) == (["ben", "cid"], b"hi", "x")


async def test_r4_a_broadcast_is_one_publish(setting: Setting) -> None:
    """A message to everyone is published once, and leaves its sender out."""
    notes = Notes()
    await setting.router.send(Message(to_all=True, from_client=Client(uuid="ben"), message_raw=b"hi"), notes)
    [(kind, data)] = notes.taken
    envelope = wire.decode(data)  # type: ignore[arg-type]
    assert isinstance(envelope, wire.Deliver)
    assert (kind, envelope.to, envelope.exclude) == ("broadcast", None, "ben")


async def test_c6_groups_and_clients_are_one_sending(setting: Setting) -> None:
    """It names the groups and not their members, and whom to leave out."""
    notes, sender = Notes(), Client(uuid="cid", node="there")
    message = Message(to_group=["room", "hall"], to_client="ben", from_client=sender, message_raw=b"hi")
    await setting.router.send(message, notes)
    [(kind, recipients, data)] = notes.taken
    assert (kind, recipients) == ("send", ("ben", "room", "hall"))
    envelope = wire.decode(data)  # type: ignore[arg-type]
    assert isinstance(envelope, wire.Deliver)
    assert (envelope.to, envelope.groups, envelope.exclude) == (["ben"], ("room", "hall"), "cid")


async def test_c6_a_group_that_nobody_can_ever_enter_is_a_mistake(setting: Setting) -> None:
    notes = Notes()
    with pytest.raises(GroupInvalid, match="NUL"):
        await setting.router.send(Message(to_group=["room", "ro\0om"]), notes)
    assert notes.taken == []


async def test_r1_send_middleware_runs_in_order_then_the_message_is_routed(setting: Setting) -> None:
    """Each middleware sees what the one before made of the message; the last word is routed."""
    seen: list[bytes] = []

    def first(message: Message) -> Message:
        seen.append(message.message_raw)
        message.message_raw += b"1"
        message.add_tag("first", value=True)
        return message

    async def second(message: Message) -> Message:
        seen.append(message.message_raw)
        assert message.get_tag("first")
        changed = message.copy()
        changed.message_raw += b"2"
        return changed

    setting.router._send_middleware.extend([first, second])
    notes = Notes()
    await setting.router.send(Message(to_logic="echo", message_raw=b"0"), notes)
    assert seen == [b"0", b"01"]
    assert notes.taken == [("dispatch", "echo", b"012")]


@pytest.mark.parametrize("how", ["reject", "none", "raise"])
async def test_r1_a_rejected_message_goes_nowhere_and_is_counted(setting: Setting, how: str) -> None:
    """A middleware stops a message by rejecting it, returning nothing, or failing; each is counted by reason."""

    def stop(message: Message) -> Message | None:
        if how == "raise":
            raise ValueError("a defect in a middleware")
        if how == "reject":
            message.reject("too_loud")
            return message
        return None

    setting.router._send_middleware.append(stop)
    notes = Notes()
    reason = {"reject": "too_loud", "none": "middleware", "raise": "middleware_error"}[how]
    with pytest.raises(MessageRejected, match=reason):
        await setting.router.send(Message(to_logic="echo"), notes)
    assert notes.taken == []
    assert setting.metrics.drops == {reason: 1}


async def test_r8_a_middleware_that_raises_costs_its_message_only(setting: Setting) -> None:
    """The message after a failure passes."""

    def fragile(message: Message) -> Message:
        if message.message_raw == b"bad":
            raise RuntimeError
        return message

    setting.router._receive_middleware.append(fragile)
    notes = Notes()
    with pytest.raises(MessageRejected):
        await setting.router.receive(Message(to_logic="echo", message_raw=b"bad"), notes)
    await setting.router.receive(Message(to_logic="echo", message_raw=b"good"), notes)
    assert notes.taken == [("dispatch", "echo", b"good")]


async def test_r2_quick_messages_pass_every_logic_and_send_middleware_once(setting: Setting) -> None:
    """send_message_quickly reaches clients, never a logic, and runs the send middleware exactly once."""
    runs: list[str] = []

    def count(message: Message) -> Message:
        runs.append(message.uuid)
        return message

    setting.router._send_middleware.append(count)
    notes = Notes()
    await setting.router.send_quickly(Message(to_client="ben", to_logic=["echo", "game"]), notes)
    assert [taken[0] for taken in notes.taken] == ["send"]
    assert len(runs) == 1


@pytest.mark.parametrize(
    ("to_logic", "error"),
    [("ghost", LogicDoesNotExist), ("clock", LogicIsPassive)],
)
async def test_r6_p1_an_unknown_or_passive_logic_is_the_senders_error(
    setting: Setting, to_logic: str, error: type[Exception]
) -> None:
    """The error names the logic, it is counted, and nothing else of the message goes out."""
    notes = Notes()
    with pytest.raises(error, match=to_logic):
        await setting.router.send(Message(to_logic=["echo", to_logic], to_client="ben"), notes)
    assert notes.taken == []
    assert sum(setting.metrics.drops.values()) == 1


async def test_r6_an_unknown_client_is_the_senders_error_after_the_others_got_theirs(setting: Setting) -> None:
    """Who is connected gets the message; then the sender hears of who is not."""
    notes = Notes(gone=("nobody",))
    with pytest.raises(ClientDoesNotExist, match="'nobody'"):
        await setting.router.send(Message(to_client=["ben", "nobody"], to_logic="echo"), notes)
    assert [taken[:2] for taken in notes.taken] == [("send", ("ben", "nobody")), ("dispatch", "echo")]
    assert setting.metrics.drops == {"client_does_not_exist": 1}


async def test_r6_where_sending_waits_for_a_later_step_an_unknown_client_is_looked_up(setting: Setting) -> None:
    """A WORKER's handler hears of it before its commit; one that the framework named costs no look-up."""
    notes = Notes(deferred=True)
    ann = Client(uuid="ann", node="dead", session="s")
    with pytest.raises(ClientDoesNotExist, match="'nobody'"):
        await setting.router.send(Message(to_client=["ben", "nobody", ann]), notes)
    assert [taken[:2] for taken in notes.taken] == [("send", ("ben", "ann"))]


async def test_a_message_to_very_many_is_sent_in_parts(setting: Setting) -> None:
    notes = Notes()
    uuids = [f"c{number}" for number in range(2500)]
    await setting.router.send(Message(to_client=uuids), notes)
    assert [len(taken[1]) for taken in notes.taken] == [1000, 1000, 500]  # type: ignore[arg-type]
    assert [uuid for taken in notes.taken for uuid in taken[1]] == uuids  # type: ignore[attr-defined]


async def test_r6_a_client_that_left_after_it_was_named_is_counted_not_raised(setting: Setting) -> None:
    """A client that the framework itself named needs no look-up, and its leaving is nobody's mistake."""
    notes = Notes(gone=("ann",))
    await setting.router.send(Message(to_client=Client(uuid="ann", node="dead", session="s")), notes)
    assert setting.metrics.drops == {"client_gone": 1}


async def test_a5_a_payload_that_does_not_fit_is_refused_and_names_the_field(setting: Setting) -> None:
    """The logic gets the validated object, or the sender gets the field that is wrong, before anything is sent."""
    notes = Notes()
    await setting.router.receive(
        Message(from_client=Client(uuid="ann"), to_logic="game", message_raw=b'{"x":1}'), notes
    )
    assert notes.taken == [("enqueue", "game", "client:ann", Move(x=1))]
    with pytest.raises(PayloadInvalid) as caught:
        await setting.router.receive(Message(to_logic=["echo", "game"], message_raw=b'{"x":"one"}'), notes)
    assert (caught.value.field, caught.value.logic) == ("x", "game")
    assert len(notes.taken) == 1


async def test_each_logic_gets_a_message_of_its_own(setting: Setting) -> None:
    """Two logics that get one message can't see each other's changes to it."""
    copies: list[Message] = []
    notes = Notes()
    notes.dispatch = lambda logic, message: copies.append(message)  # type: ignore[method-assign]
    setting.router._logics = {"one": Echo("one"), "two": Echo("two")}
    await setting.router.send(Message(to_logic=["one", "two"]), notes)
    copies[0].metadata["touched"] = True
    assert copies[1].metadata == {}
