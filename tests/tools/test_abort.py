"""The real dramatiq-abort, on messages that wait and on one that runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from dramatiq_abort import Abortable, abort
from dramatiq_abort.backends import RedisBackend

from gobroke_dist import LogicBase, LogicType, Message
from gobroke_dist.tasks.broker import OrderedBroker
from tests.eventually import eventually_sync
from tests.tools.conftest import send


class Long(LogicBase):
    """Runs until it is aborted, if told so."""

    logic_type = LogicType.WORKER

    def __init__(self) -> None:
        super().__init__("long")
        self.runs: list[bytes] = []

    def run_logic(self, message: Message) -> None:
        self.runs.append(message.message_raw)
        until = time.monotonic() + 20
        while message.message_raw == b"long" and time.monotonic() < until:
            time.sleep(0.01)


def test_w17_abort_ends_what_runs_and_skips_what_waits(
    start: Callable[..., OrderedBroker], redis_url: str, prefix: str
) -> None:
    """The running message is interrupted, the waiting one never starts, and the one behind them runs."""
    logic = Long()
    backend = RedisBackend.from_url(redis_url, namespace=f"{prefix}:aborts:")
    abortable = Abortable(backend=backend)
    broker = start(logic, abortable)
    running, waiting = send(broker, logic, b"long"), send(broker, logic, b"never")
    send(broker, logic, b"last")
    eventually_sync(lambda: logic.runs == [b"long"], within=10)
    abort(waiting, middleware=abortable)
    abort(running, middleware=abortable)
    eventually_sync(lambda: logic.runs == [b"long", b"last"], within=15)
    eventually_sync(lambda: broker.do_qsize("long") == 0, within=10)
    backend.client.close()
