"""A dead letter becomes a message again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dramatiq

from gobroke_dist.keys import QueueKeys
from gobroke_dist.tasks.letters import DEAD_ID, revived
from gobroke_dist.tasks.parcel import key_of, lane_of, pack
from gobroke_dist.tasks.scripts import Argument, queue_keys

if TYPE_CHECKING:
    from gobroke_dist.tasks.broker import OrderedBroker


def revive(broker: OrderedBroker, message: dramatiq.Message[Any]) -> dramatiq.Message[Any]:
    """Enqueue a dead letter that a tool may have deleted already. Raises as ``OrderedBroker.enqueue``."""
    parcel = pack(revived(message))
    dead_id = str(message.options[DEAD_ID])
    broker.emit_before("enqueue", parcel.message, None)
    broker.call("revive", *revive_call(broker.settings.prefix, dead_id, parcel.message, must_be_dead=False))
    broker.emit_after("enqueue", parcel.message, None)
    return parcel.message


def revive_call(
    prefix: str, dead_id: str, message: dramatiq.Message[Any], *, must_be_dead: bool
) -> tuple[list[str], list[Argument]]:
    """KEYS and ARGV of ``revive.lua``; ``message`` is packed, with a new id."""
    queue, key = QueueKeys(prefix, message.queue_name), key_of(message)
    new_id = message.options["redis_message_id"]
    keys = [queue.dead, queue.dead_messages, lane_of(queue, key), *queue_keys(queue)]
    return keys, [dead_id, new_id, message.encode(), int(key is not None), key or "", int(must_be_dead)]
