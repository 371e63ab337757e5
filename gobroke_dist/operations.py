"""What logics and the application call, from an event loop or from a thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from gobroke_dist.asking import Requests
from gobroke_dist.calling import current
from gobroke_dist.client import Client
from gobroke_dist.directory import Directory
from gobroke_dist.errors import NotRunning, RedisUnavailable
from gobroke_dist.group_directory import GroupDirectory
from gobroke_dist.message import Message
from gobroke_dist.outlet import Outlet
from gobroke_dist.request import body
from gobroke_dist.router import Router
from gobroke_dist.settings import Settings

T = TypeVar("T")


class RunningOperations:
    """The calls of a running process. Each follows the colour of its caller:

    - on an event loop it starts at once and returns a future to await;
    - on any other thread it blocks that thread until the answer is there, and returns it.

    Args:
        loop: the event loop that everything runs on.
        router, directory, requests, groups: what does the work.
        immediate: makes an outlet for what is sent outside a handler whose sends wait for its commit.
        settings: what is in force in this process.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        router: Router,
        directory: Directory,
        requests: Requests,
        groups: GroupDirectory,
        immediate: Callable[[], Outlet],
        settings: Settings,
    ) -> None:
        self._loop = loop
        self._router = router
        self._directory = directory
        self._requests = requests
        self._groups = groups
        self._immediate = immediate
        self.settings = settings
        self._timeout = settings.redis_timeout + settings.request_timeout  # the longest that a thread waits

    def send_message(self, message: Message) -> Any:
        return self._call(self._router.send(message, self._outlet()))

    def send_message_quickly(self, message: Message) -> Any:
        return self._call(self._router.send_quickly(message, self._outlet()))

    def get_client(self, uuid: str, local_only: bool = False) -> Any:
        return self._call(self._directory.get_client(uuid, local_only=local_only))

    def get_all_clients(self, local_only: bool = False) -> Any:
        return self._call(self._directory.get_all_clients(local_only=local_only))

    def remove_client(self, client: Client | str) -> Any:
        return self._call(self._directory.remove_client(client))

    def revoke(self, client: Client | str) -> Any:
        return self._call(self._directory.revoke(client, remember=self.settings.revocation_ttl))

    def request(self, message: Message, timeout: float = 5.0) -> Any:
        return self._call(self._requests.ask(message, timeout), longer=timeout)

    def follow(self, message: Message, timeout: float) -> Any:
        return self._call(self._requests.follow(message, timeout), longer=timeout)

    def reply(self, message: Message, data: Any = None, *, sender: str | None = None) -> Any:
        return self._call(self._requests.reply(message, body(data), sender, _committing()))

    def join_group(self, client: Client | str, group: str) -> Any:
        return self._call(self._groups.join_group(client, group))

    def leave_group(self, client: Client | str, group: str) -> Any:
        return self._call(self._groups.leave_group(client, group))

    def get_group(self, group: str) -> Any:
        return self._call(self._groups.get_group(group))

    def count_group(self, group: str) -> Any:
        return self._call(self._groups.count_group(group))

    def _outlet(self) -> Outlet:
        return _committing() or self._immediate()

    def _call(self, work: Coroutine[Any, Any, T], *, longer: float = 0.0) -> asyncio.Future[T] | T:
        caller = _running_loop()
        if caller is None:
            return self._block(work, self._timeout + longer)
        here = caller is self._loop
        future: asyncio.Future[T] = asyncio.ensure_future(work) if here else asyncio.wrap_future(self._submit(work))
        run = current()
        if run is not None:
            run.pending.add(future)  # type: ignore[arg-type]  # a future of T is a future of object to who only waits
            future.add_done_callback(run.pending.discard)
        return future

    def _block(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        submitted = self._submit(work)
        try:
            return submitted.result(timeout)
        except concurrent.futures.TimeoutError:
            submitted.cancel()
            raise RedisUnavailable(f"no answer within {timeout:g} s") from None

    def _submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        if self._loop.is_closed():
            work.close()
            raise NotRunning("this call")
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def _committing() -> Outlet | None:
    """Where the effects go of a handler whose effects wait for its commit."""
    run = current()
    return None if run is None else run.outlet


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
