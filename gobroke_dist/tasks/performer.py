"""Runs one message on the event loop, as Dramatiq's worker thread runs one on a thread."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from dramatiq import Broker
from dramatiq.errors import ActorNotFound
from dramatiq.middleware import Shutdown, SkipMessage, TimeLimit, TimeLimitExceeded

from gobroke_dist.tasks.deadlines import Deadlines
from gobroke_dist.tasks.delivery import Delivered

_failures = logging.getLogger("dramatiq.worker.WorkerThread")  # where users look for what their actors raise

Body = Callable[..., Awaitable[None]]


class Performer:
    """Calls the hooks and the handler of a queue's messages, all of one message in the task that calls.

    Args:
        broker: whose hooks are called.
        actor_name: of the actor that has a body here.
        body: its own coroutine function.
        loop: where all this runs.

    Attributes:
        closing: the worker ends; who is cancelled is not to be blamed.
    """

    def __init__(self, broker: Broker, actor_name: str, body: Body, loop: asyncio.AbstractEventLoop) -> None:
        self.closing = False
        self._broker = broker
        self._actor_name = actor_name
        self._body = body
        self._loop = loop
        self._limits = _limits_of(broker)
        self._deadlines = Deadlines(loop)

    def close(self) -> None:
        """Nothing runs any more."""
        self._deadlines.close()

    def _refuse(self, message: Delivered) -> None:
        _failures.error("Received message for undefined actor %r. Moving it to the DLQ.", message.actor_name)
        message.fail()
        message.stuff_exception(ActorNotFound(message.actor_name))

    async def perform(self, message: Delivered) -> None:
        """Run a message's hooks and its handler.

        Args:
            message: it says afterwards whether it failed, and why.
        """
        broker = self._broker
        if message.actor_name not in broker.actors:
            self._refuse(message)
            return
        try:
            broker.emit_before("process_message", message)
            if message.stolen:
                raise SkipMessage("this worker lost it")
            if not message.failed:
                await self._run(message)
            broker.emit_after("process_message", message, result=None)
        except SkipMessage as error:
            if message.failed:
                message.stuff_exception(error)
            _failures.warning("Message %s was skipped.", message)
            broker.emit_after("skip_message", message)
        except BaseException as error:  # noqa: BLE001 - whatever it was, Dramatiq's hooks decide what follows
            self._failed(message, error)
        message.hooks_thread = None

    async def _run(self, message: Delivered) -> None:
        task, limit = asyncio.current_task(self._loop), self._limits(message)
        assert task is not None
        self._deadlines.start(task, limit)
        late = False
        try:
            if message.actor_name == self._actor_name:
                await self._body(*message.args, **message.kwargs)
            else:  # another tool's, for an actor that has no lane here
                await asyncio.to_thread(self._broker.get_actor(message.actor_name), *message.args, **message.kwargs)
        except asyncio.CancelledError as error:
            late = self._deadlines.stop(task)
            if late:
                raise TimeLimitExceeded(f"it ran for longer than {limit:g} s") from error
            if self.closing:
                raise Shutdown("the worker ends") from error
            raise
        finally:
            if not late:
                self._deadlines.stop(task)

    def _failed(self, message: Delivered, error: BaseException) -> None:
        message.stuff_exception(error)
        actor = self._broker.actors.get(message.actor_name)
        throws = message.options.get("throws") or (actor and actor.options.get("throws"))
        if throws and isinstance(error, throws):
            _failures.info("Failed to process message %s with expected exception %s.", message, type(error).__name__)
        else:
            _failures.error("Failed to process message %s with unhandled exception.", message, exc_info=error)
        self._broker.emit_after("process_message", message, exception=error)
        if isinstance(error, Shutdown):
            message.failed = False  # it is not its fault
            message.postpone(0)


def _limits_of(broker: Broker) -> Callable[[Delivered], float]:
    """How long a message may run, in seconds, as Dramatiq's ``TimeLimit`` finds it."""
    default = next((one.time_limit for one in broker.middleware if isinstance(one, TimeLimit)), None)

    def limit_of(message: Delivered) -> float:
        if default is None:
            return math.inf
        actor = broker.get_actor(message.actor_name)
        milliseconds = message.options.get("time_limit") or actor.options.get("time_limit", default)
        return float(milliseconds) / 1000

    return limit_of
