"""What the tests' clients talk to."""

from __future__ import annotations

from gobroke_dist import LogicBase, LogicType, Message


class Twice(LogicBase):
    """Answers with the double."""

    async def run_logic(self, message: Message) -> None:
        await self.reply(message, message.json() * 2)


class Asker(LogicBase):
    """Asks the client who it is, and tells it what it has said."""

    async def run_logic(self, message: Message) -> None:
        question = Message(to_client=message.from_client, message_raw=b'"who are you?"')
        answer = await self.request(question, timeout=2)
        await self.reply(message, f"you are {answer.json()}")


class Ledger(LogicBase):
    """Keeps what it handles; a negative number it can't."""

    logic_type = LogicType.WORKER
    order_by = "client"
    max_attempts = 2
    min_backoff = 0.01

    def __init__(self) -> None:
        super().__init__()
        self.handled: list[int] = []

    async def run_logic(self, message: Message) -> None:
        number = message.json()
        if number < 0:
            raise ValueError("a secret")
        self.handled.append(number)
