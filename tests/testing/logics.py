"""Small logics, in both colours, for tests of the test kit."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gobroke_dist import LogicBase, LogicType, Message, Tick


class Echo(LogicBase):
    """DISPATCHED: says it again."""

    async def run_logic(self, message: Message) -> None:
        await self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class PlainEcho(LogicBase):
    """The same on a thread."""

    def run_logic(self, message: Message) -> None:
        self.send_message(Message(to_client=message.from_client, message_raw=message.message_raw))


class Worker(LogicBase):
    """A WORKER that notes what it runs and answers; ``fails`` says which runs raise, after they have sent."""

    logic_type = LogicType.WORKER
    min_backoff = 0.2
    max_backoff = 1.0

    def __init__(self, name: str = "worker", *, fails: dict[Any, int] | None = None, **attributes: Any) -> None:
        super().__init__(name)
        self.fails = dict(fails or {})
        self.ran: list[tuple[Any, int]] = []
        self.seen: list[Message] = []
        for attribute, value in attributes.items():
            setattr(self, attribute, value)

    def note(self, message: Message) -> Message:
        """What the handler answers."""
        self.seen.append(message)
        self.ran.append((message.json(), message.delivery.attempt))
        return Message(to_client=message.from_client, message_raw=message.message_raw)

    def judge(self, message: Message) -> None:
        """Raise, if this run is to."""
        if self.fails.get(message.json(), 0) >= message.delivery.attempt:
            raise ValueError(f"{message.json()} fails")


class AsyncWorker(Worker):
    """``async def``."""

    async def run_logic(self, message: Message) -> None:
        await self.send_message(self.note(message))
        self.judge(message)


class PlainWorker(Worker):
    """Plain ``def``."""

    def run_logic(self, message: Message) -> None:
        self.send_message(self.note(message))
        self.judge(message)


class Move(BaseModel):
    """A payload."""

    x: int


class Ticking(LogicBase):
    """PASSIVE: notes its nominal times."""

    logic_type = LogicType.PASSIVE

    def __init__(self, name: str = "ticking", **attributes: Any) -> None:
        super().__init__(name)
        self.ticks: list[Tick] = []
        for attribute, value in attributes.items():
            setattr(self, attribute, value)

    async def run_tick(self, tick: Tick) -> None:
        self.ticks.append(tick)
