"""What whoever sent a message is told of how it ended, in the step that ends it."""

from __future__ import annotations

from typing import Any

import dramatiq

from gobroke_dist.keys import ClusterKeys
from gobroke_dist.request import ReceiptState
from gobroke_dist.tasks.delivery import Publication
from gobroke_dist.wire import node as wire
from gobroke_dist.wire import task


def done(message: dramatiq.Message[Any], *, prefix: str) -> list[Publication]:
    """Of a message that is committed: a receipt, if its client wants one."""
    return _receipt(_body(message), message, "done", "", prefix)


def dead(message: dramatiq.Message[Any], reason: str, *, prefix: str) -> list[Publication]:
    """Of a message that is dead: a receipt, and that there will be no answer."""
    body = _body(message)
    return [*_regrets(body, message, reason, prefix), *_receipt(body, message, "dead", reason, prefix)]


def _body(message: dramatiq.Message[Any]) -> dict[str, Any]:
    """What ``wire.task`` made; another tool may have put anything there."""
    body = message.kwargs.get("message")
    return body if isinstance(body, dict) else {}


def _receipt(
    body: dict[str, Any], message: dramatiq.Message[Any], state: ReceiptState, reason: str, prefix: str
) -> list[Publication]:
    sender = body.get("from_client")
    if not body.get("receipt") or not isinstance(sender, dict):
        return []
    client, node = sender.get("uuid"), sender.get("node")
    if not isinstance(client, str) or not isinstance(node, str):
        return []
    receipt = wire.Receipt(client, message.message_id, message.actor_name, state, reason)
    return [Publication(ClusterKeys(prefix).channel(node), wire.encode(receipt))]


def _regrets(body: dict[str, Any], message: dramatiq.Message[Any], reason: str, prefix: str) -> list[Publication]:
    try:
        to = task.reply_to(body)
    except (TypeError, ValueError):
        return []
    if to is None:
        return []
    answer = wire.Answer(to.id, wire.Sender(None, message.actor_name), b"", reason)
    return [Publication(ClusterKeys(prefix).channel(to.node), wire.encode(answer))]
