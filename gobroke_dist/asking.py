"""Requests and their answers (contract C11).

Who asks waits in its own process, under an id; the request carries both, and its answer is one datum to that process.
Nothing of a request is kept anywhere else, so a process that dies takes its requests with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from uuid import uuid4

from gobroke_dist.bus import Bus
from gobroke_dist.client import Client
from gobroke_dist.errors import Draining, QueueFull, RequestFailed, RequestInvalid, RequestTimedOut, Unavailable
from gobroke_dist.message import Message, ReplyTo
from gobroke_dist.metrics import Metrics
from gobroke_dist.outlet import Outlet
from gobroke_dist.request import Receipt, addressed
from gobroke_dist.router import Router
from gobroke_dist.wire import node as wire


class Waiting:
    """One request until its answer comes, or its block is left; what comes later is late.

    Args:
        message: what asks.
        to: where its answer goes.
        timeout: seconds, from now.
        closed: called at the end.
    """

    def __init__(self, message: Message, to: ReplyTo, timeout: float, closed: Callable[[str], object]) -> None:
        loop = asyncio.get_running_loop()
        self.to = to
        self.came: asyncio.Future[wire.Answer] = loop.create_future()
        self._uuid = message.uuid
        self._timeout = timeout
        self._deadline = loop.time() + timeout
        self._closed = closed

    def __enter__(self) -> Waiting:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait no longer."""
        self._closed(self.to.id)
        self.came.cancel()

    async def answer(self, sent: Awaitable[None] | None = None) -> Message:
        """Wait for the answer; its uuid is the request's.

        Args:
            sent: what sends the request; it has the same time.

        Raises:
            RequestTimedOut: it did not come in time.
            RequestFailed: there is none to come.
            Draining: this process ends.
        """
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                if sent is not None:
                    await sent
                answer = await self.came
        except TimeoutError:
            if not limit.expired():
                raise
            raise RequestTimedOut(self._uuid, self._timeout) from None
        if answer.failure:
            raise RequestFailed(self._uuid, answer.failure)
        client, logic = answer.sender.client, answer.sender.logic
        return Message(
            uuid=self._uuid,
            message_raw=answer.raw,
            from_client=None if client is None else Client(uuid=client),
            from_logic=logic,
        )


class Requests:
    """The requests that this process has asked, and the answers that it gives.

    Args:
        node: this process's id.
        router: sends requests.
        bus: carries answers.
        immediate: makes an outlet for what goes out at once.
        listen: makes sure that what is sent to this process arrives.
        metrics: counts ``late_replies``: to requests that have timed out, were answered, or never were.
        limit: how many may wait.
    """

    def __init__(
        self,
        *,
        node: str,
        router: Router,
        bus: Bus,
        immediate: Callable[[], Outlet],
        listen: Callable[[], Awaitable[None]],
        metrics: Metrics,
        limit: int,
    ) -> None:
        self._node = node
        self._router = router
        self._bus = bus
        self._immediate = immediate
        self._listen = listen
        self._metrics = metrics
        self._limit = limit
        self._waiting: dict[str, Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    # --- asking ------------------------------------------------------------------

    async def ask(self, message: Message, timeout: float) -> Message:
        """Send a request, and wait for its answer. It goes out at once, whatever the caller's other effects wait for.

        Raises:
            RequestInvalid: it does not name exactly one recipient.
            RequestTimedOut, RequestFailed: there is no answer.
            BrokeError: it was not sent; as ``Router.send``.
        """
        only = addressed(message)
        with self.open(only, timeout) as waiting:
            return await waiting.answer(self._send(only, waiting.to))

    async def follow(self, message: Message, timeout: float) -> Receipt:
        """Send a message to the one WORKER logic that it names, and wait for what becomes of it.

        Returns:
            ``accepted`` when that is not known in time; nor is it ever of a uuid that was accepted before (W12).

        Raises:
            BrokeError: it was not accepted; as ``Router.send``.
        """
        [logic] = message.to_logic
        with self.open(message, timeout) as waiting:
            await self._listen()
            await self._router.send(message, self._immediate(), receipt=waiting.to)
            try:
                await waiting.answer()
            except (RequestTimedOut, Draining):
                return Receipt(message.uuid, logic, "accepted")
            except RequestFailed as failed:
                return Receipt(message.uuid, logic, "dead", failed.reason)
            return Receipt(message.uuid, logic, "done")

    def open(self, message: Message, timeout: float) -> Waiting:
        """Begin to wait for an answer. Raises ``QueueFull``."""
        if len(self._waiting) >= self._limit:
            raise QueueFull("the table of open requests", self._limit)
        to = ReplyTo(self._node, uuid4().hex)
        waiting = self._waiting[to.id] = Waiting(message, to, timeout, lambda id_: self._waiting.pop(id_, None))
        return waiting

    def came(self, answer: wire.Answer) -> None:
        """An answer has arrived."""
        waiting = self._waiting.pop(answer.request, None)
        if waiting is None or waiting.came.done():
            self._metrics.count("late_replies")
        else:
            waiting.came.set_result(answer)

    def forget(self, requests: Iterable[str]) -> None:
        """Who asked these is gone: whoever waits for their answers is cancelled."""
        for request in requests:
            waiting = self._waiting.get(request)
            if waiting is not None:
                waiting.close()

    def close(self) -> None:
        """This process ends: nobody waits any longer."""
        for waiting in tuple(self._waiting.values()):
            if not waiting.came.done():
                waiting.came.set_exception(Draining())
        self._waiting.clear()

    async def _send(self, message: Message, to: ReplyTo) -> None:
        await self._listen()
        await self._router.send(message, self._immediate(), reply_to=to)

    # --- answering -----------------------------------------------------------------

    async def reply(self, message: Message, raw: bytes, sender: str | None, outlet: Outlet | None) -> None:
        """Answer a request that a logic has got, once.

        Args:
            message: the request.
            raw: the answer's payload.
            sender: the logic's name.
            outlet: takes the answer; None: it goes out at once.

        Raises:
            RequestInvalid: it is no request, or was answered.
            Unavailable: the answer was not accepted.
        """
        to, message.reply_to = message.reply_to, None
        if to is None:
            raise RequestInvalid(message.uuid, f"message {message.uuid!r} is no request, or was answered already")
        try:
            await self.send_answer(to, wire.Answer(to.id, wire.Sender(None, sender), raw), outlet)
        except Unavailable:
            message.reply_to = to
            raise

    async def send_answer(self, to: ReplyTo, answer: wire.Answer, outlet: Outlet | None = None) -> None:
        """Bring an answer to who waits for it; by ``outlet``, or at once."""
        if outlet is None and to.node == self._node:
            self.came(answer)
            return
        out = outlet or self._immediate()
        out.publish(to.node, wire.encode(answer))
        await out.settled()

    def fail(self, message: Message, reason: str) -> None:
        """Tell who asked, if somebody did, that there will be no answer."""
        to = message.reply_to
        if to is None:
            return
        answer = wire.Answer(to.id, wire.Sender(None, None), b"", reason)
        if to.node == self._node:
            self.came(answer)
        else:
            self._bus.publish(to.node, wire.encode(answer))
