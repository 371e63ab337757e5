"""What every running process of an application has: connections, a lease, and the calls that logics make."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gobroke_dist.access.policy import Authorise
from gobroke_dist.asking import Requests
from gobroke_dist.backing import MakeBacking, on_redis
from gobroke_dist.bus import Arrival, Receiver
from gobroke_dist.directory import Directory
from gobroke_dist.dispatcher import Dispatcher
from gobroke_dist.errors import BrokeError, FrameInvalid, RedisUnavailable
from gobroke_dist.group_directory import GroupDirectory
from gobroke_dist.hub import Hub
from gobroke_dist.identity import Authenticator
from gobroke_dist.immediate import ImmediateOutlet, TaskProducer
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.logic import LogicBase
from gobroke_dist.message import Message
from gobroke_dist.metrics import Metrics
from gobroke_dist.middleware import Middleware
from gobroke_dist.operations import RunningOperations
from gobroke_dist.registry import Member, new_node_id
from gobroke_dist.router import Router
from gobroke_dist.runner import OnLogicError, Runner
from gobroke_dist.settings import Settings
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.wire import node as wire

log = logging.getLogger(__name__)

_RENEWALS_PER_LEASE = 2.5


@dataclass(slots=True, kw_only=True)
class Application:
    """What the user declared, as the roles see it. The collections are live: they may grow while a role runs."""

    logics: Mapping[str, LogicBase]
    receive_middleware: list[Middleware] = field(default_factory=list)
    send_middleware: list[Middleware] = field(default_factory=list)
    on_logic_error: OnLogicError | None = None
    authenticator: Authenticator | None = None
    authorise: Authorise | None = None


class Runtime:
    """One process of the cluster. Make it on the event loop that it is to live on.

    Args:
        application: what to run.
        settings: how.
        role: ``edge``, ``worker`` or ``scheduler``.
        broker: where tasks are handed over; or what makes a backing other than Redis.
        node: this process's id, where another part of it has one already.
        lease: seconds of silence after which it is gone; None: ``node_lease``.
    """

    def __init__(
        self,
        application: Application,
        settings: Settings,
        role: str,
        broker: OrderedBroker | MakeBacking,
        *,
        node: str | None = None,
        lease: float | None = None,
    ) -> None:
        self.application = application
        self.settings = settings
        self.role = role
        self.node = node or new_node_id(settings, role)
        self.metrics = Metrics()
        self.hub = Hub(self.metrics)
        self.keys = ClusterKeys(settings.prefix)
        self._lease = lease or settings.node_lease
        make = on_redis(broker) if isinstance(broker, OrderedBroker) else broker
        self._backing = make(settings, self._lease, self.metrics)
        self.registry, self.groups = self._backing.registry, self._backing.groups
        self.bus, self.producer = self._backing.bus, self._backing.producer
        self._threads = ThreadPoolExecutor(settings.threads, thread_name_prefix="gobroke-logic")
        self.runner = Runner(metrics=self.metrics, on_logic_error=application.on_logic_error, threads=self._threads)
        self.dispatcher = Dispatcher(
            logics=application.logics,
            runner=self.runner,
            metrics=self.metrics,
            limit=settings.pending_limit,
            failed=self._request_failed,
        )
        self.router = Router(
            node=self.node,
            logics=application.logics,
            registry=self.registry,
            hub=self.hub,
            metrics=self.metrics,
            receive_middleware=application.receive_middleware,
            send_middleware=application.send_middleware,
        )
        self.directory = Directory(hub=self.hub, registry=self.registry, bus=self.bus, timeout=settings.request_timeout)
        self.requests = Requests(
            node=self.node,
            router=self.router,
            bus=self.bus,
            immediate=self.outlet,
            listen=self.listen,
            metrics=self.metrics,
            limit=settings.pending_limit,
        )
        self.group_directory = GroupDirectory(
            node=self.node,
            hub=self.hub,
            registry=self.registry,
            groups=self.groups,
            bus=self.bus,
            timeout=settings.request_timeout,
        )
        self.operations = RunningOperations(
            loop=asyncio.get_running_loop(),
            router=self.router,
            directory=self.directory,
            requests=self.requests,
            groups=self.group_directory,
            immediate=self.outlet,
            settings=settings,
        )
        self._background: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None

    def outlet(self, *, from_client: bool = False) -> ImmediateOutlet:
        """A new outlet for what goes out at once."""
        producer: TaskProducer = self.producer
        return ImmediateOutlet(bus=self.bus, producer=producer, dispatcher=self.dispatcher, from_client=from_client)

    def serve(self, logics: Iterable[LogicBase]) -> None:
        """Let these logics make their calls through this process."""
        for logic in logics:
            logic._operations = self.operations

    async def open(self, addresses: tuple[str, ...] = ()) -> None:
        """Check that Redis answers, and join the cluster.

        Raises:
            RedisUnavailable: it can't be reached; nothing was started.
        """
        try:
            await self._backing.check()
        except RedisUnavailable as error:
            raise RedisUnavailable(f"{_masked(self.settings)} does not answer ({error.__cause__})") from None
        self.producer.start()
        await self.registry.join(self.member(addresses))

    async def listen(self, receive: Receiver | None = None, lost: Callable[[str], None] | None = None) -> None:
        """Hear what is sent to this process: an edge all of it, from its start; others answers, once they have asked.

        Raises:
            RedisUnavailable: it can't be reached; calling again tries again.
        """
        if self._listening is None or _failed(self._listening):
            self._listening = asyncio.create_task(self.bus.open(self.node, receive or self._arrived, lost))
        await asyncio.shield(self._listening)

    def _arrived(self, arrival: Arrival) -> None:
        try:
            envelope = wire.decode(arrival.data)
        except FrameInvalid:
            self.metrics.drop("bad_datum")
            return
        if isinstance(envelope, wire.Answer):
            self.requests.came(envelope)

    def _request_failed(self, message: Message, reason: str) -> None:
        self.requests.fail(message, reason)

    def member(self, addresses: tuple[str, ...]) -> Member:
        """This process, as others see it."""
        return Member(
            node=self.node,
            role=self.role,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=time.time(),
            addresses=addresses,
        )

    def keep(self, lost: Callable[[], Awaitable[None]] | None = None) -> None:
        """Renew the lease from now on; ``lost`` is awaited whenever it had run out."""
        self.every(self._lease / _RENEWALS_PER_LEASE, lambda: self._renew(lost))

    def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` again and again until the process closes; what fails is logged and tried again."""
        self.spawn(_repeat(seconds, work))

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Run something until it ends, or the process closes. It must handle its own errors."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def close(self, timeout: float | None = None) -> None:
        """Leave the cluster: finish DISPATCHED work, flush what waits, give up the lease.

        Args:
            timeout: seconds that the work has; None: ``drain_timeout``.
        """
        await self.dispatcher.drain(self.settings.drain_timeout if timeout is None else timeout)
        self.requests.close()
        background = tuple(self._background) + (() if self._listening is None else (self._listening,))
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        for step in (self.registry.leave, self.producer.close, self.bus.close):
            with contextlib.suppress(BrokeError):
                await step()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._backing.close()

    async def _renew(self, lost: Callable[[], Awaitable[None]] | None) -> None:
        if await self.registry.renew():
            return
        log.warning("node %s had lost its lease, and has a new one", self.node)
        self.metrics.count("lease_lost")
        if lost is not None:
            await lost()


def _failed(task: asyncio.Task[None]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _repeat(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    failing = False
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
            failing = False
        except BrokeError as error:
            if not failing:
                log.warning("%s; trying again every %.3g s", error, seconds)
            failing = True
        except Exception:
            log.exception("background work failed; trying again in %.3g s", seconds)


def _masked(settings: Settings) -> str:
    """The Redis URL without its password."""
    url = settings.redis_address
    scheme, _, rest = url.partition("://")
    return f"Redis at {scheme}://{rest.rpartition('@')[2]}"
