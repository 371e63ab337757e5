"""An application that every role of a cluster of real processes loads: an edge, workers, and stock Dramatiq."""

from __future__ import annotations

import os
from typing import Any

from dramatiq.middleware import Middleware

from endpoints import WebSocketEndpoint
from gobroke_dist import Broke, LogicBase, LogicType, Message


class Answer(LogicBase):
    """Says which process handled the message, and as what."""

    def run_logic(self, message: Message) -> None:
        self.send_message(Message(to_client=message.from_client, message_raw=f"{self.logic_type} {os.getpid()}"))


class Fragile(LogicBase):
    """Fails, for ever."""

    logic_type = LogicType.WORKER
    max_attempts = 2
    min_backoff = 0.01

    def run_logic(self, message: Message) -> None:
        if message.delivery.attempt == 2:
            self.send_message_quickly(Message(to_client=message.from_client, message_raw=b"never seen"))
        raise ValueError("as it always does")


class Oracle(LogicBase):
    """Answers with its process."""

    logic_type = LogicType.WORKER

    def run_logic(self, message: Message) -> None:
        self.reply(message, os.getpid())


class Pilgrim(LogicBase):
    """Asks the oracle, and answers with both processes."""

    logic_type = LogicType.WORKER

    async def run_logic(self, message: Message) -> None:
        answer = await self.request(Message(to_logic="oracle"), timeout=10)
        await self.reply(message, [os.getpid(), answer.json()])


class Enter(LogicBase):
    """Makes the client a member of the group that it names."""

    def run_logic(self, message: Message) -> None:
        assert message.from_client is not None
        self.join_group(message.from_client, message.json())
        self.send_message(Message(to_client=message.from_client, message_raw=b"entered"))


class Marking(Middleware):
    """Dramatiq middleware, added while the module is loaded."""

    def before_enqueue(self, broker: object, message: Any, delay: object) -> None:
        message.options["marked"] = True

    def before_process_message(self, broker: object, message: Any) -> None:
        print(f"processing, marked: {message.options.get('marked')}", flush=True)


broke = Broke(WebSocketEndpoint(port=0))
broke.broker.add_middleware(Marking())
broke.add_logic(Answer("inline", LogicType.DISPATCHED))
broke.add_logic(Fragile())
broke.add_logic(Enter())
broke.add_logic(Answer("queued", LogicType.WORKER))
broke.add_logic(Oracle())
broke.add_logic(Pilgrim())
