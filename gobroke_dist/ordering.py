"""Which messages of a WORKER wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gobroke_dist.errors import LogicInvalid
from gobroke_dist.logic import LogicBase, logic_name
from gobroke_dist.message import Message

ONE_AFTER_ANOTHER: Final = ""
"""The ordering key of a logic that has one order for all of its messages."""


def order_key(logic: LogicBase, message: Message) -> str | None:
    """The ordering key of a message: messages of one logic with equal keys run one after another.

    ``order_by="client"`` orders by the client that sent the message; what a logic sent is ordered by that logic.

    Raises:
        LogicInvalid: the logic's own function returned something other than a string or None.
    """
    order_by = logic.order_by
    if order_by is None:
        return None
    if order_by == "logic":
        return ONE_AFTER_ANOTHER
    if order_by == "client":
        return f"client:{message.from_client.uuid}" if message.from_client else f"logic:{message.from_logic}"
    if not callable(order_by):
        raise LogicInvalid(logic_name(logic), f"order_by of logic {logic_name(logic)!r} is {order_by!r}")
    key = _call(order_by, message)
    if key is not None and not isinstance(key, str):
        text = f"order_by of logic {logic_name(logic)!r} returned a {type(key).__name__}, not a str or None"
        raise LogicInvalid(logic_name(logic), text)
    return key


def _call(order_by: Callable[..., object], message: Message) -> object:
    """A function of one argument that stands on the class was bound to the logic on access: it wants no ``self``."""
    function = getattr(order_by, "__func__", None)
    if function is not None and function.__code__.co_argcount == 1:
        return function(message)
    return order_by(message)
