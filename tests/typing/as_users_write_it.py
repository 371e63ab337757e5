"""The public interface as its users write it: `make check` runs mypy strict over this; nothing else does."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from endpoints import StubEndpoint, WebSocketEndpoint
from gobroke_dist import (
    Broke,
    Client,
    ConnectRequest,
    Identity,
    JWTAuthenticator,
    LogicBase,
    LogicType,
    Message,
    Settings,
    Tick,
    new_simple_logic_message,
)
from gobroke_dist.testing import Cluster, DeadLetter, MemoryClient


def room(message: Message) -> str:
    return str(message.metadata["room"])


async def who(request: ConnectRequest) -> Identity:
    return Identity(uuid=request.query.get("user"), claims={"role": "admin"})


def authorise(client: Client, kind: str, name: str) -> bool:
    return kind == "logic" and client.get_metadata("role") == name


guarded = Broke(StubEndpoint(), authenticator=who, authorise=authorise)
by_token = Broke(StubEndpoint(), authenticator=JWTAuthenticator(algorithms=["HS256"], key="x" * 32))


class Move(BaseModel):
    x: int


class ByFunction(LogicBase):
    logic_type = LogicType.WORKER
    order_by = room
    payload = Move

    async def run_logic(self, message: Message) -> None:
        move: Move = message.payload
        client: Client = await self.get_client("ann")
        everybody: list[Client] = await self.get_all_clients()
        await self.send_message(Message(to_client=[client, *everybody, "ben"], message_raw=str(move.x)))
        await self.join_group(client, "room")
        count: int = await self.count_group("room")
        members: list[Client] = await self.get_group("room")
        text = f"{count} of {members}"
        await self.send_message(Message(to_group=["room", "hall"], message_raw=text, exclude_sender=False))


class ByMethod(LogicBase):
    name = "by-method"
    logic_type = LogicType.WORKER

    def order_by(self, message: Message) -> str:
        return self.name

    def run_logic(self, message: Message) -> None:
        if message.from_client is not None:
            self.send_message(new_simple_logic_message(self.name, message.from_client, None, b"x"))
            self.remove_client(message.from_client)


class Asking(LogicBase):
    async def run_logic(self, message: Message) -> None:
        answer: Message = await self.request(Message(to_logic="by-method"), timeout=2)
        await self.reply(message, answer.json())


class ByLambda(LogicBase):
    order_by = lambda message: message.uuid if message.from_client else None  # noqa: E731 - as users write it


class Clock(LogicBase):
    logic_type = LogicType.PASSIVE
    every = 10.0

    async def run_tick(self, tick: Tick) -> None:
        await self.send_message(Message(to_all=True, message_raw=tick.nominal.isoformat()))


def limit(message: Message) -> Message:
    if len(message.message_raw) > 1000:
        message.reject("too_large")
    return message


async def drop(message: Message) -> Message | None:
    return message if message.to_logic else None


def report(logic: str, message: Message | None, error: BaseException, stack: str) -> None:
    print(logic, message, error, stack)


broke = Broke(
    [WebSocketEndpoint(port=8080), StubEndpoint()],
    redis="redis://127.0.0.1:6379/0",
    channel_size=10,
    on_logic_error=report,
    settings=Settings(threads=2),
)
for logic in (ByFunction(), ByMethod(), ByMethod("other", LogicType.DISPATCHED), ByLambda(), Clock()):
    broke.add_logic(logic)
broke.attach_receive_middleware(limit)
broke.attach_send_middleware(drop)


async def main() -> None:
    async with broke.running():
        await broke.send_message(Message(to_all=True, message_raw=b"hello"))


if __name__ == "__main__":
    asyncio.run(main())


async def test_of_an_application(gobroke_cluster: type[Cluster]) -> None:
    async with gobroke_cluster(broke, nodes=2) as cluster, Cluster(ByFunction(), settings=Settings()) as other:
        ann: MemoryClient = await cluster.connect("ann", node=1, metadata={"name": "Ann"})
        await ann.send({"to_logic": "chat", "data": [1, None]})
        text: str = (await ann.expect(within=1.5, type="message"))["uuid"]
        await ann.send(Message(to_client=text))
        letters: list[DeadLetter] = other.dead("byfunction")
        other.requeue("byfunction", letters[0].uuid)
