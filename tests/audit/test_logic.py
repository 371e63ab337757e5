"""What the audited logics do with a message: the ``def`` one and the ``async def`` one alike."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from gobroke_dist.audit.journal import Journal
from gobroke_dist.audit.load import Order, Sign, Work
from gobroke_dist.audit.logic import (
    RECORD_URL,
    AsyncAuditLogic,
    AuditedLogic,
    AuditLogic,
    PlannedFailure,
    worker_name,
)
from gobroke_dist.audit.record import Booted, Effect, Ended, Entry, Started
from gobroke_dist.client import Client
from gobroke_dist.errors import CouldNotStartProcessor, MessageRejected
from gobroke_dist.logic import is_async
from gobroke_dist.message import Delivery, Message

Run = Callable[[Message], Awaitable[None]]


class Sending:
    """Takes what a logic sends, in the colour of its caller."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.refuses = False

    def send_message(self, message: Message) -> Any:
        if self.refuses:
            raise MessageRejected("middleware")
        self.sent.append(message)
        try:
            answer = asyncio.get_running_loop().create_future()
        except RuntimeError:
            return None
        answer.set_result(None)
        return answer


class Stage:
    """One logic, with what it sends, and what it writes."""

    def __init__(self, logic: AuditLogic | AsyncAuditLogic, journal: Journal, stream: str) -> None:
        self.logic = logic
        self.sending = Sending()
        logic._operations = self.sending  # type: ignore[assignment]
        self._journal = journal
        self._stream = stream

    async def run(self, *, client: Client | None = None, told: Delivery | None = None, **order: Any) -> None:
        """Handle one message, as a worker would."""
        made = {
            name: kind(stream=self._stream, key="k", **order[name]) for name, kind in KINDS.items() if name in order
        }
        message = Message(to_logic=self.logic.name, from_client=client)
        message.payload = Order(**made)
        message.message_raw = message.payload.model_dump_json().encode()
        message.delivery = told or Delivery()
        if isinstance(self.logic, AsyncAuditLogic):
            await self.logic.run_logic(message)
        else:
            await asyncio.to_thread(self.logic.run_logic, message)

    def written(self) -> Sequence[Entry]:
        """The lines of its record, but for the first one."""
        return [entry for entry in self._journal.read(block=1) if not isinstance(entry, Booted)]


KINDS = {"work": Work, "sign": Sign}


@pytest.fixture(params=[AuditLogic, AsyncAuditLogic])
async def stage(
    request: pytest.FixtureRequest, redis_url: str, journal: Journal, stream: str, monkeypatch: pytest.MonkeyPatch
) -> Any:
    monkeypatch.setenv(RECORD_URL, redis_url)
    made = Stage(request.param(effects="sink"), journal, stream)
    yield made
    for one in made.logic._journals.values():
        closed = one.close()
        if closed is not None:
            await closed


async def test_a_run_is_written_down_from_its_first_to_its_last_word(stage: Stage) -> None:
    await stage.run(work={"number": 3}, told=Delivery(attempt=2, recovered=True, fence=17))
    started, ended = stage.written()
    assert isinstance(started, Started)
    assert isinstance(ended, Ended)
    assert (started.key, started.number, started.worker) == ("k", 3, worker_name())
    assert (started.fence, started.attempt, started.recovered) == (17, 2, True)
    assert (ended.run, ended.good) == (started.run, True)


async def test_a_good_run_sends_its_effects_through_the_framework(stage: Stage) -> None:
    await stage.run(work={"number": 3, "parts": 2})
    started = stage.written()[0]
    assert isinstance(started, Started)
    assert [message.to_logic for message in stage.sending.sent] == [("sink",), ("sink",)]
    signs = [Order.model_validate_json(message.message_raw).sign for message in stage.sending.sent]
    assert [(one.run, one.key, one.number, one.part) for one in signs if one] == [
        (started.run, "k", 3, 0),
        (started.run, "k", 3, 1),
    ]


async def test_an_attempt_that_is_to_fail_raises_after_it_has_sent_and_said_so(stage: Stage) -> None:
    """What it sent must not come out: that is what the audit looks for."""
    with pytest.raises(PlannedFailure):
        await stage.run(work={"number": 0, "failures": 1})
    assert len(stage.sending.sent) == 1
    ended = stage.written()[-1]
    assert isinstance(ended, Ended)
    assert not ended.good


async def test_a_run_whose_effects_are_refused_did_not_end_well(stage: Stage) -> None:
    """By a send middleware of the application, for one."""
    stage.sending.refuses = True
    with pytest.raises(MessageRejected):
        await stage.run(work={"number": 0})
    ended = stage.written()[-1]
    assert isinstance(ended, Ended)
    assert not ended.good


async def test_a_run_takes_the_time_that_its_message_asks_for(stage: Stage) -> None:
    await stage.run(work={"number": 0, "milliseconds": 50})
    started, ended = stage.written()
    assert ended.at - started.at >= 49


async def test_the_attempt_after_the_failures_succeeds(stage: Stage) -> None:
    await stage.run(work={"number": 0, "failures": 1}, told=Delivery(attempt=2))
    ended = stage.written()[-1]
    assert isinstance(ended, Ended)
    assert ended.good


async def test_an_effect_is_written_down_with_its_own_delivery(stage: Stage) -> None:
    sign = {"number": 3, "run": "r", "part": 1}
    await stage.run(sign=sign, told=Delivery(attempt=2, recovered=True, fence=9))
    await stage.run(sign=sign, told=Delivery(attempt=3, recovered=True, fence=10))
    first, second = stage.written()
    assert isinstance(first, Effect)
    assert isinstance(second, Effect)
    assert (first.run, first.key, first.number, first.part) == ("r", "k", 3, 1)
    assert (first.fence, first.attempt, first.recovered) == (9, 2, True)
    assert first.seen != second.seen
    assert stage.sending.sent == []


async def test_a_process_says_once_per_record_that_it_is_there(stage: Stage, journal: Journal) -> None:
    before = int(time.time() * 1000)
    for number in range(3):
        await stage.run(work={"number": number})
    (booted,) = [entry for entry in journal.read(block=1) if isinstance(entry, Booted)]
    assert booted.worker == worker_name() == f"{os.uname().nodename}:{os.getpid()}"
    assert before <= booted.wall <= int(time.time() * 1000)


async def test_a_client_can_not_make_it_work_or_write(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It would choose the key in Redis that is written to."""
    await stage.run(client=Client("ann"), work={"number": 0})
    await stage.run(client=Client("ann"), sign={"number": 0, "run": "r", "part": 0})
    assert stage.written() == []
    assert stage.sending.sent == []
    assert "client ann" in caplog.text


async def test_a_record_of_an_audit_that_is_over_is_let_go(stage: Stage, journal: Journal, stream: str) -> None:
    for number in range(9):
        stage._stream = f"{stream}-{number}"
        await stage.run(work={"number": 0})
    assert len(stage.logic._journals) == 4


async def test_a4_the_async_handler_blocks_no_loop(
    never_blocking: None, redis_url: str, journal: Journal, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RECORD_URL, redis_url)
    stage = Stage(AsyncAuditLogic(), journal, stream)
    runs = (stage.run(work={"number": number, "milliseconds": 20}) for number in range(20))
    await asyncio.gather(*runs)
    await stage.run(sign={"number": 0, "run": "r", "part": 0})
    written = await asyncio.to_thread(stage.written)
    assert [type(entry) for entry in written].count(Ended) == 20
    first_end = next(place for place, entry in enumerate(written) if isinstance(entry, Ended))
    assert first_end == 20, "all of them began before the first had ended"
    for one in stage.logic._journals.values():
        await one.close()  # type: ignore[misc]


def test_the_two_are_of_the_two_colours() -> None:
    assert not is_async(AuditLogic())
    assert is_async(AsyncAuditLogic())


@pytest.mark.parametrize("logic", [AuditLogic("a"), AsyncAuditLogic("a")])
def test_the_order_is_by_the_key_that_the_payload_names(logic: AuditedLogic) -> None:
    order = Order(work=Work(stream="s", key="k7", number=0))
    assert logic.order_by(Message(message_raw=order.model_dump_json())) == "k7"


def test_without_a_redis_for_the_record_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RECORD_URL, raising=False)
    logic = AuditLogic()
    logic._operations = Sending()  # type: ignore[assignment]
    message = Message()
    message.payload = Order(work=Work(stream="s", key="k", number=0))
    with pytest.raises(CouldNotStartProcessor, match=RECORD_URL):
        logic.run_logic(message)
