"""What whoever sent a message is told of how it ended, in the step that ends it."""

from __future__ import annotations

from typing import Any

import dramatiq

from gobroke_dist.keys import ClusterKeys
from gobroke_dist.message import ReplyTo
from gobroke_dist.request import ReceiptState
from gobroke_dist.tasks.delivery import Publication
from gobroke_dist.wire import node as wire
from gobroke_dist.wire import task


def done(message: dramatiq.Message[Any], *, prefix: str) -> list[Publication]:
    """Of a message that is committed: a receipt, if one is wanted."""
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
    process = _address(body, "receipt")
    if process is not None:
        return [_answer(process, message, "" if state == "done" else reason or state, prefix)]
    sender = body.get("from_client")
    if not body.get("receipt") or not isinstance(sender, dict):
        return []
    client, node = sender.get("uuid"), sender.get("node")
    if not isinstance(client, str) or not isinstance(node, str):
        return []
    receipt = wire.Receipt(client, message.message_id, message.actor_name, state, reason)
    return [Publication(ClusterKeys(prefix).channel(node), wire.encode(receipt))]


def _regrets(body: dict[str, Any], message: dramatiq.Message[Any], reason: str, prefix: str) -> list[Publication]:
    asker = _address(body, "reply_to")
    return [] if asker is None else [_answer(asker, message, reason, prefix)]


def _address(body: dict[str, Any], name: str) -> ReplyTo | None:
    try:
        return task.reply_to(body, name)
    except (TypeError, ValueError):
        return None


def _answer(to: ReplyTo, message: dramatiq.Message[Any], failure: str, prefix: str) -> Publication:
    answer = wire.Answer(to.id, wire.Sender(None, message.actor_name), b"", failure)
    return Publication(ClusterKeys(prefix).channel(to.node), wire.encode(answer))
