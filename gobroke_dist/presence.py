"""Tells the logics that watch groups who has joined and who has left."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from uuid import NAMESPACE_OID, uuid5

from gobroke_dist.errors import BrokeError, Unavailable
from gobroke_dist.groups import Change, Groups
from gobroke_dist.logic import LogicBase
from gobroke_dist.message import Message

log = logging.getLogger(__name__)


class Presence:
    """Of all nodes, one at a time tells. What it has told it calls done with its next question; should it die before
    that, another one tells it again, under the same uuid, which a WORKER accepts once (contract W12).

    Args:
        node: this process's id.
        logics: the application's logics by name; read each time, so it may change.
        groups: where the changes come from.
        send: routes a message, and returns when it has been accepted.
        grace: seconds that a client may be gone without having left.
    """

    def __init__(
        self,
        *,
        node: str,
        logics: Mapping[str, LogicBase],
        groups: Groups,
        send: Callable[[Message], Awaitable[None]],
        grace: float,
    ) -> None:
        self._node = node
        self._logics = logics
        self._groups = groups
        self._send = send
        self._grace = grace
        self._done = 0

    async def begin(self) -> None:
        """From now on, what happens in groups is noted, if any logic watches them."""
        if self._watchers:
            await self._groups.changes(self._node, self._done, self._grace)

    async def tell(self) -> None:
        """Tell all that is new; call it again and again. Raises ``Unavailable``: some of it is told next time."""
        while watchers := self._watchers:
            changes = await self._groups.changes(self._node, self._done, self._grace)
            if not changes:
                return
            for change in changes:
                for name in watchers:
                    await self._tell(name, change)
                self._done = change.number

    @property
    def _watchers(self) -> list[str]:
        return [name for name, logic in self._logics.items() if logic.watches_groups]

    async def _tell(self, name: str, change: Change) -> None:
        try:
            await self._send(_message(name, change))
        except Unavailable:
            raise
        except BrokeError as error:
            log.warning("logic %r is not told of a change in group %r: %s", name, change.group, error)


def _message(name: str, change: Change) -> Message:
    body = {"event": "joined" if change.joined else "left", "group": change.group, "client": change.uuid}
    uuid = uuid5(NAMESPACE_OID, f"change {change.number}")
    return Message(to_logic=name, message_raw=json.dumps(body), uuid=str(uuid))
