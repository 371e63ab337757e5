"""What a logic allows its messages: how many runs, how many may wait, and what follows when one is given up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dramatiq
from dramatiq.middleware import Retries

from gobroke_dist.logic import LogicBase, LogicType, OnPoison

ACTOR_OPTIONS = frozenset({"on_poison", "max_waiting", "on_full", "concurrency"})

_HALTS: dict[OnPoison, int] = {"skip": 0, "halt_key": 1, "halt_logic": 2}
_FOREIGN = frozenset({"unreadable", "unknown_actor", "skipped"})


@dataclass(frozen=True, slots=True)
class Room:
    """How much one queue holds.

    Attributes:
        limit: messages; None: any number.
        waits: whether a message for a full queue waits for room, or is refused at once.
    """

    limit: int | None
    waits: bool


def actor_options(logic: LogicBase) -> dict[str, Any]:
    """The options of a logic's actor that this module reads again."""
    bounded = logic.logic_type is LogicType.WORKER
    return {
        "on_poison": logic.on_poison,
        "max_waiting": logic.max_waiting if bounded else None,
        "on_full": logic.on_full,
        "concurrency": logic.concurrency,
    }


def attempts_of(broker: dramatiq.Broker, message: dramatiq.Message[Any]) -> int | None:
    """How often a message may start, found as Dramatiq's ``Retries`` finds it; None: any number of times."""
    default = next((one.max_retries for one in broker.middleware if isinstance(one, Retries)), None)
    actor = broker.actors.get(message.actor_name)
    of_actor = default if actor is None else actor.options.get("max_retries", default)
    of_message = message.options.get("max_retries", of_actor)
    retries = of_message if isinstance(of_message, int | None) else of_actor
    return None if retries is None else int(retries) + 1


def halts_of(broker: dramatiq.Broker, message: dramatiq.Message[Any], *, reason: str) -> int:
    """What ``reject.lua`` is to halt: 0 nothing, 1 the key, 2 the logic. A foreign message halts nothing."""
    actor = broker.actors.get(message.actor_name)
    if actor is None or reason in _FOREIGN:
        return 0
    return _HALTS[actor.options.get("on_poison", "skip")]


def room_of(broker: dramatiq.Broker, queue: str) -> Room:
    """How much a logic's queue holds; a queue without a logic holds any number."""
    actor = broker.actors.get(queue)
    options = {} if actor is None else actor.options
    return Room(options.get("max_waiting"), options.get("on_full") == "wait")
