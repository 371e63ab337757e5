"""Brokers, workers and one logic that does what its messages say."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.middleware import AsyncIO, Middleware

from gobroke_dist.logic import LogicBase, LogicType, Tick
from gobroke_dist.message import Message
from gobroke_dist.settings import Settings
from gobroke_dist.tasks import actors
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.hooks import default_middleware
from gobroke_dist.tasks.transaction import Transaction
from gobroke_dist.testing.faults import Proxy, proxy_in_thread

Handler = Callable[[Message, Transaction], None]


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("dramatiq").setLevel(logging.CRITICAL)


@pytest.fixture
def settings(redis_url: str, prefix: str) -> Settings:
    return Settings(redis_url=redis_url, prefix=prefix, worker_lease=1.0, redis_timeout=2.0)


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as made:
        yield made


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    """A way to the same Redis that breaks when it is told to."""
    with proxy_in_thread(redis_url) as made:
        yield made


@pytest.fixture
def make_broker(settings: Settings) -> Iterator[Callable[..., OrderedBroker]]:
    with contextlib.ExitStack() as stack:

        def make(**changes: Any) -> OrderedBroker:
            middleware = changes.pop("middleware", None) or [one for one in default_middleware() if _is_ours(one)]
            broker = OrderedBroker(Settings(**{**settings.model_dump(), **changes}), middleware=middleware)
            stack.callback(broker.close)
            return broker

        yield make


@pytest.fixture
def broker(make_broker: Callable[..., OrderedBroker]) -> OrderedBroker:
    return make_broker()


def _is_ours(middleware: Middleware) -> bool:
    """AsyncIO keeps one event loop per process; a test with two workers in one would leak the other's thread."""
    return not isinstance(middleware, AsyncIO)


class Chat(LogicBase):
    """A WORKER ordered by the payload's ``key``."""

    logic_type = LogicType.WORKER
    min_backoff = 0.02
    max_backoff = 0.05

    def __init__(self, name: str = "chat", **attributes: Any) -> None:
        super().__init__(name)
        for attribute, value in attributes.items():
            setattr(self, attribute, value)

    @staticmethod
    def order_by(message: Message) -> str:  # type: ignore[override]
        return str(message.json()["key"])

    def run_logic(self, message: Message) -> None: ...


def declare(broker: OrderedBroker, handler: Handler, logic: LogicBase | None = None) -> LogicBase:
    """Declare a logic whose handler also gets the transaction."""
    logic = logic or Chat()

    def run(_: LogicBase, argument: Message | Tick, transaction: Transaction) -> None:
        assert isinstance(argument, Message)
        handler(argument, transaction)

    actors.declare(broker, logic, run)
    return logic


@contextlib.contextmanager
def working(broker: OrderedBroker, *, threads: int = 4) -> Iterator[dramatiq.Worker]:
    """A stock Dramatiq worker in this process."""
    worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=100)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(timeout=10_000)


class Journal:
    """What ran, in order, and whether two messages of one key ever ran at once."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int]] = []
        self.overlaps = 0
        self._running: set[str] = set()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def running(self, key: str) -> Iterator[None]:
        """The time in which a message of this key runs."""
        with self._lock:
            self.overlaps += key in self._running
            self._running.add(key)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(key)

    def note(self, key: str, number: int) -> None:
        """A message was processed."""
        with self._lock:
            self.entries.append((key, number))

    def of(self, key: str) -> list[int]:
        """The numbers processed for a key, in order."""
        return [number for one, number in self.entries if one == key]
