"""A list of dead letters over several queues, page by page: one queue after the other."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec

from gobroke_dist.errors import CallInvalid
from gobroke_dist.ops.api_models import DeadInfo, DeadPage
from gobroke_dist.tasks.dead_letters import DeadLetters, Place

_Cursor = tuple[str, float, str]
_decoder = msgspec.json.Decoder(_Cursor)


def dead_page(letters: DeadLetters, queues: Sequence[str], limit: int, cursor: str) -> DeadPage:
    """One page.

    Args:
        letters: reads them.
        queues: whose, in the order of the list.
        limit: how many at most.
        cursor: where the page before ended; empty: the first.

    Raises:
        CallInvalid: of a cursor that none of these pages ended with.
    """
    queue, before = _read(cursor)
    if queue is not None and queue not in queues:
        raise CallInvalid("cursor: it is not of these queues", field="cursor")
    found: list[DeadInfo] = []
    end = ""
    for name in queues[queues.index(queue) if queue is not None else 0 :]:
        part, place = letters.page(name, limit - len(found), before if name == queue else None)
        found += map(DeadInfo.of, part)
        if place is not None:
            end = base64.urlsafe_b64encode(msgspec.json.encode((name, *place))).decode()
            break
    return DeadPage(total=sum(map(letters.count, queues)), dead=found, cursor=end)


def _read(cursor: str) -> tuple[str | None, Place | None]:
    if not cursor:
        return None, None
    try:
        queue, died, id_ = _decoder.decode(base64.urlsafe_b64decode(cursor.encode()))
    except (ValueError, msgspec.MsgspecError):
        raise CallInvalid("cursor: no page ended with it", field="cursor") from None
    return queue, Place(died, id_)
