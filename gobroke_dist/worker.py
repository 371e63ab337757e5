"""The worker role: runs WORKER logic, and the cluster's PASSIVE logic, in strict order."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from gobroke_dist import payload
from gobroke_dist.calling import Calling
from gobroke_dist.errors import CouldNotStartProcessor
from gobroke_dist.logic import LogicBase, LogicType, Tick, is_async
from gobroke_dist.message import Message
from gobroke_dist.pauses import spare_what_stays
from gobroke_dist.runner import Runner
from gobroke_dist.runtime import Application, Runtime
from gobroke_dist.settings import Settings
from gobroke_dist.tasks import actors
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.lifecycle import WorkerLifecycle, start_worker, stop_worker
from gobroke_dist.tasks.transaction import Transaction

log = logging.getLogger(__name__)

T = TypeVar("T")

_NODE_LEASES = 3  # for which a worker that fell silent is still listed


class WorkerRole:
    """Everything that a worker process of one application needs, whichever program starts it.

    Args:
        application: whose logics to run.
        settings: how.
    """

    def __init__(self, application: Application, settings: Settings) -> None:
        self._application = application
        self._settings = settings
        self._runtime: Runtime | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.broker = OrderedBroker(settings)
        self.broker.on_committed = self._dispatch
        self.broker.add_middleware(WorkerLifecycle(boot=self._boot, shutdown=self._shutdown))

    def declare(self, logic: LogicBase) -> None:
        """Make the actor of a logic that runs in workers, and let a logic that this process runs make its calls."""
        if runs_in_workers(logic):
            actors.declare(self.broker, logic, self._run_async if is_async(logic) else self._run_blocking)
        if self._runtime is not None:
            self._runtime.serve(_served_here([logic]))

    # --- one message -------------------------------------------------------------

    def _run_async(self, logic: LogicBase, argument: Message | Tick, transaction: Transaction) -> Awaitable[None]:
        return self._validated(logic, argument).run_async(logic, argument, Calling(transaction))

    def _run_blocking(self, logic: LogicBase, argument: Message | Tick, transaction: Transaction) -> None:
        self._validated(logic, argument).run_blocking(logic, argument, Calling(transaction))

    def _validated(self, logic: LogicBase, argument: Message | Tick) -> Runner:
        if logic.payload is not None and isinstance(argument, Message):
            payload.validate(logic, argument)
        return self._running().runner

    def _dispatch(self, committed: list[tuple[str, Message]]) -> Future[None]:
        """What a WORKER sent to a DISPATCHED logic runs here, once it is committed (contract D3).

        The future waits for a free slot of that logic, which holds up the worker that sends so much.
        """
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(self._dispatch_all(committed), self._loop)

    async def _dispatch_all(self, committed: list[tuple[str, Message]]) -> None:
        dispatcher = self._running().dispatcher
        for name, message in committed:
            await dispatcher.dispatch(name, message)

    def _running(self) -> Runtime:
        if self._runtime is None:
            raise CouldNotStartProcessor("this worker process has not booted")
        return self._runtime

    # --- the process -------------------------------------------------------------

    def _boot(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._on_loop(self._open())
        spare_what_stays()

    def _shutdown(self) -> None:
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            self._on_loop(runtime.close())

    async def _open(self) -> None:
        node, settings = self.broker.broker_id, self._settings
        # No client goes with it, so its registration is for people to read, and may be renewed less often.
        lease = _NODE_LEASES * settings.node_lease
        runtime = Runtime(self._application, settings, "worker", self.broker, node=node, lease=lease)
        await runtime.open()
        runtime.keep()
        runtime.serve(_served_here(self._application.logics.values()))
        self._runtime = runtime

    def _on_loop(self, work: Awaitable[T]) -> T:
        assert self._loop is not None

        async def awaited() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result(self._settings.drain_timeout + 10)


def runs_in_workers(logic: LogicBase) -> bool:
    """WORKER logic, and PASSIVE logic of the whole cluster."""
    if logic.logic_type is LogicType.PASSIVE:
        return logic.scope == "cluster"
    return logic.logic_type is LogicType.WORKER


def _served_here(logics: Iterable[LogicBase]) -> Iterator[LogicBase]:
    """Those that make their calls through the worker: of the others, those that no edge of this process serves."""
    return (logic for logic in logics if runs_in_workers(logic) or logic._operations is None)


def run_worker(
    role: WorkerRole, settings: Settings, *, queues: set[str] | None = None, ready: Callable[[], None] | None = None
) -> None:
    """Run one worker process until SIGTERM or SIGINT; then what runs is finished, and the rest goes back.

    Args:
        role: of the application to run.
        settings: ``threads`` and ``drain_timeout`` are used here.
        queues: only these logics; None: all.
        ready: called once, when messages are being fetched.

    Raises:
        RedisUnavailable: Redis can't be reached.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker = start_worker(role.broker, threads=settings.threads, queues=queues)
    if ready is not None:
        ready()
    stop.wait()
    stop_worker(worker, timeout=settings.drain_timeout)
