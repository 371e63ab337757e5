"""What a WORKER's queue holds: the keyword arguments of its actor, as JSON-able values."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from gobroke_dist.client import Client
from gobroke_dist.errors import FrameInvalid
from gobroke_dist.message import Message


def to_kwargs(message: Message, key: str | None) -> dict[str, Any]:
    """The actor's keyword arguments. Text payloads stay readable in a dashboard; others become base64.

    ``to_logic`` stays behind: each logic gets a message of its own.
    """
    try:
        payload = {"text": message.message_raw.decode("utf-8")}
    except UnicodeDecodeError:
        payload = {"base64": b64encode(message.message_raw).decode("ascii")}
    sender = message.from_client
    return {
        "message": {
            "uuid": message.uuid,
            "key": key,
            **payload,
            "metadata": message.metadata,
            "to_client": [client.uuid for client in message.to_client],
            "from_logic": message.from_logic,
            "from_client": sender
            and {"uuid": sender.uuid, "node": sender.node, "session": sender.session, "metadata": sender.metadata},
        }
    }


def from_kwargs(logic: str, kwargs: dict[str, Any]) -> Message:
    """The message that an actor was called with.

    Raises:
        FrameInvalid: the arguments are not of this form; the text names what is missing.
    """
    try:
        body = kwargs["message"]
        raw = body["text"].encode("utf-8") if "text" in body else b64decode(body["base64"], validate=True)
        client = body.get("from_client")
        return Message(
            to_logic=logic,
            to_client=body.get("to_client", ()),
            uuid=body["uuid"],
            message_raw=raw,
            metadata=body.get("metadata") or {},
            from_logic=body.get("from_logic"),
            from_client=Client(**client) if client else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FrameInvalid(f"queue {logic!r} holds something that is no message of it: {error!r}") from None
