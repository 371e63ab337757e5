"""Who asked a WORKER, and waits for an answer."""

from __future__ import annotations

from typing import Any

import dramatiq

from gobroke_dist.keys import ClusterKeys
from gobroke_dist.message import ReplyTo
from gobroke_dist.tasks.delivery import Publication
from gobroke_dist.wire import node as wire
from gobroke_dist.wire import task


def regrets(message: dramatiq.Message[Any], reason: str, *, prefix: str) -> list[Publication]:
    """What tells the requester of a message that is dead, if it has one, that there will be no answer."""
    to = _requester(message)
    if to is None:
        return []
    sender = wire.Sender(None, message.actor_name)
    return [Publication(ClusterKeys(prefix).channel(to.node), wire.encode(wire.Answer(to.id, sender, b"", reason)))]


def _requester(message: dramatiq.Message[Any]) -> ReplyTo | None:
    body = message.kwargs.get("message")
    try:
        return task.reply_to(body) if isinstance(body, dict) else None
    except (TypeError, ValueError):  # it is dead because it is nonsense
        return None
