"""An application's broker, and a worker of it in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import dramatiq
import pytest
from dramatiq.middleware import Middleware

from endpoints import StubEndpoint
from gobroke_dist import Broke, LogicBase, Message, Settings
from gobroke_dist.outlet import Task
from gobroke_dist.tasks.actors import to_dramatiq
from gobroke_dist.tasks.broker import OrderedBroker


@pytest.fixture
def start(redis_url: str, prefix: str) -> Iterator[Callable[..., OrderedBroker]]:
    """Starts a worker of an application with this logic; gives the broker that Dramatiq's tools are handed."""
    with contextlib.ExitStack() as stack:

        def started(logic: LogicBase, *middleware: Middleware) -> OrderedBroker:
            broke = Broke(StubEndpoint(), settings=Settings(redis_url=redis_url, prefix=prefix, worker_lease=2))
            broke.add_logic(logic)
            broker = broke.broker
            stack.callback(broker.close)
            for one in middleware:
                broker.add_middleware(one)
            worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=100)
            worker.start()
            stack.callback(worker.stop, 10_000)
            return broker

        yield started


def send(broker: OrderedBroker, logic: LogicBase, raw: bytes) -> str:
    """Enqueue a message as Dramatiq's users would, and return its Dramatiq id."""
    message = Message(to_logic=logic.name, message_raw=raw)
    return broker.enqueue(to_dramatiq(Task(logic.name, "", message))).message_id
