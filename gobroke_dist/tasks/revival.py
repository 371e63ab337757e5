"""A dead letter becomes a message again."""

from __future__ import annotations

from typing import Any

import dramatiq

from gobroke_dist.keys import QueueKeys
from gobroke_dist.tasks.letters import revived
from gobroke_dist.tasks.parcel import Parcel, accepted_of, lane_of, pack, place_args
from gobroke_dist.tasks.scripts import Argument, queue_keys


def revived_parcel(dead: dramatiq.Message[Any]) -> Parcel:
    """A dead letter as a new message with a new id, and with all of its attempts before it."""
    return pack(revived(dead))


def revive_call(
    prefix: str, parcel: Parcel, dead: dramatiq.Message[Any], *, dead_id: str, must_be_dead: bool
) -> tuple[list[str], list[Argument]]:
    """KEYS and ARGV of ``revive.lua``.

    Args:
        prefix: ``Settings.prefix``.
        parcel: what ``revived_parcel`` made.
        dead: the dead letter that it made it of.
        dead_id: its id.
        must_be_dead: do nothing if the dead letter is gone; a tool may have deleted it first.
    """
    queue = QueueKeys(prefix, parcel.queue)
    keys = [queue.dead, queue.dead_messages, lane_of(queue, parcel.key), *queue_keys(queue)]
    return keys, [dead_id, int(must_be_dead), *(accepted_of(dead) or ("", "")), *place_args(parcel, lane=3)]
