"""Payloads that a logic declares as a pydantic model (contract A5)."""

from __future__ import annotations

from pydantic import ValidationError

from gobroke_dist.errors import PayloadInvalid
from gobroke_dist.logic import LogicBase, logic_name
from gobroke_dist.message import Message


def validate(logic: LogicBase, message: Message) -> None:
    """Set ``message.payload`` from ``message_raw``; nothing happens for a logic without a model.

    Raises:
        PayloadInvalid: the payload is not JSON, or does not fit; names the first wrong field.
    """
    if logic.payload is None:
        return
    try:
        message.payload = logic.payload.model_validate_json(message.message_raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "data"
        raise PayloadInvalid(logic_name(logic), field, first["msg"]) from None
