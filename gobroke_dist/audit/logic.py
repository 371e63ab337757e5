"""The logic that an application adds to be audited."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any
from uuid import uuid4

from gobroke_dist.audit.journal import Journal
from gobroke_dist.audit.load import Order, Sign, Work
from gobroke_dist.audit.record import Booted, Effect, Ended, Started
from gobroke_dist.errors import CouldNotStartProcessor
from gobroke_dist.logic import LogicBase, LogicType
from gobroke_dist.message import Message
from gobroke_dist.operations import RunningOperations

log = logging.getLogger(__name__)

RECORD_URL = "GOBROKE_AUDIT_URL"


class PlannedFailure(Exception):
    """The message says that this attempt is to fail."""


class AuditLogic(LogicBase):
    """Does nothing of use, in strict order per key, and writes down what it saw. ::

        broke.add_logic(AuditLogic())

    Its record goes to the application's own Redis, or to the one that ``GOBROKE_AUDIT_URL`` names, by a
    connection of its own. It costs nothing while no audit runs.

    Args:
        name: the logic's name.
        effects: the logic that its effects are sent to, another ``AuditLogic``; None: itself.
    """

    logic_type = LogicType.WORKER
    min_backoff = 0.05
    max_backoff = 2.0
    max_attempts = 20
    payload = Order

    def __init__(self, name: str = "audit", *, effects: str | None = None) -> None:
        super().__init__(name)
        self._effects = effects or name
        self._journals: dict[tuple[int, str], Journal] = {}
        self._opening = threading.Lock()

    @staticmethod
    def order_by(message: Message) -> str:
        """The key that the payload names."""
        return Order.model_validate_json(message.message_raw).key

    def run_logic(self, message: Message) -> None:
        order: Order = message.payload
        if order.work is not None:
            self._work(order.work, message)
        elif order.sign is not None:
            self._witness(order.sign, message)

    def _work(self, work: Work, message: Message) -> None:
        journal, run, delivery = self._journal(work.stream), uuid4().hex, message.delivery
        journal.write(
            Started(run, work.key, work.number, worker_name(), delivery.fence, delivery.attempt, delivery.recovered, 0)
        )
        good = False
        try:
            time.sleep(work.milliseconds / 1000)
            self._send_signs(work, run)
            good = delivery.attempt > work.failures
        finally:
            journal.write(Ended(run, good, 0))
        if not good:
            raise PlannedFailure

    def _send_signs(self, work: Work, run: str) -> None:
        for part in range(work.parts):
            sign = Sign(stream=work.stream, key=work.key, number=work.number, run=run, part=part)
            self.send_message(Message(to_logic=self._effects, message_raw=Order(sign=sign).model_dump_json()))

    def _witness(self, sign: Sign, message: Message) -> None:
        told = message.delivery
        effect = Effect(
            *(uuid4().hex, sign.run, sign.key, sign.number, sign.part, message.uuid),
            *(told.fence, told.attempt, told.recovered, 0),
        )
        self._journal(sign.stream).write(effect)

    def _journal(self, stream: str) -> Journal:
        """This process's; a fork must not share its parent's connections."""
        name = (os.getpid(), stream)
        with self._opening:
            if name not in self._journals:
                self._journals = {name: Journal(self._record_url(), stream)}
                self._journals[name].write(Booted(worker_name(), int(time.time() * 1000), 0))
            return self._journals[name]

    def _record_url(self) -> str:
        operations: Any = self._ask
        settings = operations.settings if isinstance(operations, RunningOperations) else None
        url = os.environ.get(RECORD_URL) or (settings and settings.redis_url)
        if not url:
            raise CouldNotStartProcessor(f"the audit has no Redis for its record; set {RECORD_URL}")
        return str(url)


def worker_name() -> str:
    """This process, as the record names it: its host and process id."""
    return f"{os.uname().nodename}:{os.getpid()}"
