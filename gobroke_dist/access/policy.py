"""What clients may address: one question for each recipient, answered by the application (contract E2)."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

from gobroke_dist.client import Client
from gobroke_dist.errors import NotAuthorised
from gobroke_dist.message import Message

log = logging.getLogger(__name__)

Kind: TypeAlias = Literal["logic", "client", "group", "all"]
"""What a recipient is. The name of ``all`` is empty."""

Authorise: TypeAlias = Callable[[Client, Kind, str], bool]
"""Gets the client that sends, the kind of a recipient and its name, and says whether it may. It runs on the event loop
for every recipient, so it decides from what it has, and asks nobody."""


def checked(authorise: Authorise | None) -> Authorise | None:
    """Raises ``TypeError`` where it can't be one: what ``async def`` returns would say yes to everything."""
    if authorise is None:
        return None
    if not callable(authorise) or inspect.iscoroutinefunction(authorise):
        raise TypeError("authorise must be a plain function (client, kind, name) -> bool; it can't be async")
    return authorise


def require(authorise: Authorise, client: Client, message: Message) -> None:
    """Raises ``NotAuthorised`` for the first recipient that this client may not address; none of them gets it.

    Only True is a yes. A policy that raises is logged, and says no.
    """
    for kind, name in _recipients(message):
        try:
            allowed = authorise(client, kind, name)
        except Exception:
            log.exception("authorise raised for client %s and %s %r", client.uuid, kind, name)
            allowed = False
        if allowed is not True:
            raise NotAuthorised(kind, name)


def _recipients(message: Message) -> Iterator[tuple[Kind, str]]:
    if message.to_all:
        yield "all", ""
    for name in message.to_logic:
        yield "logic", name
    for client in message.to_client:
        yield "client", client.uuid
    for group in message.to_group:
        yield "group", group
