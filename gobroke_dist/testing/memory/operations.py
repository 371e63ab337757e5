"""The calls of logic objects that all processes of a cluster share: each goes to the process that it is made in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

from gobroke_dist.client import Client
from gobroke_dist.logic import Operations
from gobroke_dist.message import Message
from gobroke_dist.testing.clock import StoppedLoop

HERE: Final[ContextVar[Operations]] = ContextVar("gobroke_testing_process")
"""The calls of the process that this code is part of."""


class OperationsHere:
    """In production every process has logic objects of its own; here one object runs in all of them.

    Args:
        loop: where all of them live. A thread that calls waits for it, by the cluster's clock.
        outside: for code that is part of no process, such as the test itself.
    """

    def __init__(self, loop: StoppedLoop, outside: Callable[[], Operations]) -> None:
        self._time = loop
        self._loop = asyncio.get_running_loop()
        self._outside = outside

    def send_message(self, message: Message) -> Any:
        return self._call(lambda here: here.send_message(message))

    def send_message_quickly(self, message: Message) -> Any:
        return self._call(lambda here: here.send_message_quickly(message))

    def get_client(self, uuid: str, local_only: bool = False) -> Any:
        return self._call(lambda here: here.get_client(uuid, local_only))

    def get_all_clients(self, local_only: bool = False) -> Any:
        return self._call(lambda here: here.get_all_clients(local_only))

    def remove_client(self, client: Client | str) -> Any:
        return self._call(lambda here: here.remove_client(client))

    def revoke(self, client: Client | str) -> Any:
        return self._call(lambda here: here.revoke(client))

    def request(self, message: Message, timeout: float = 5.0) -> Any:
        return self._call(lambda here: here.request(message, timeout))

    def reply(self, message: Message, data: Any = None, *, sender: str | None = None) -> Any:
        return self._call(lambda here: here.reply(message, data, sender=sender))

    def join_group(self, client: Client | str, group: str) -> Any:
        return self._call(lambda here: here.join_group(client, group))

    def leave_group(self, client: Client | str, group: str) -> Any:
        return self._call(lambda here: here.leave_group(client, group))

    def get_group(self, group: str) -> Any:
        return self._call(lambda here: here.get_group(group))

    def count_group(self, group: str) -> Any:
        return self._call(lambda here: here.count_group(group))

    def _call(self, ask: Callable[[Operations], Any]) -> Any:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run_coroutine_threadsafe(self._asked(ask), self._loop).result()
        return ask(self._here())

    async def _asked(self, ask: Callable[[Operations], Any]) -> Any:
        with self._time.asking():
            return await ask(self._here())

    def _here(self) -> Operations:
        return HERE.get(None) or self._outside()
