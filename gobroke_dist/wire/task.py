"""What a WORKER's queue holds: the keyword arguments of its actor, as JSON-able values.

A queue may hold a hundred thousand of them, so what is empty, or stands in the Dramatiq message around it, is left out.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from gobroke_dist.client import Client
from gobroke_dist.errors import FrameInvalid
from gobroke_dist.message import Message, ReplyTo


def to_kwargs(message: Message, key: str | None) -> dict[str, Any]:
    """The actor's keyword arguments. Text payloads stay readable in a dashboard; others become base64.

    ``to_logic`` stays behind: each logic gets a message of its own; and ``uuid``, which is the Dramatiq message's id.
    """
    body: dict[str, Any] = {} if key is None else {"key": key}
    try:
        body["text"] = message.message_raw.decode("utf-8")
    except UnicodeDecodeError:
        body["base64"] = b64encode(message.message_raw).decode("ascii")
    around = {
        "metadata": message.metadata,
        "to_client": [client.uuid for client in message.to_client],
        "to_group": list(message.to_group),
        "from_logic": message.from_logic,
        "from_client": message.from_client and _sender(message.from_client),
        "reply_to": message.reply_to and list(message.reply_to),
        "receipt": list(message.receipt) if isinstance(message.receipt, ReplyTo) else message.receipt,
    }
    body.update((name, value) for name, value in around.items() if value)
    return {"message": body}


def from_kwargs(logic: str, kwargs: dict[str, Any], *, uuid: str | None = None) -> Message:
    """The message that an actor was called with.

    Args:
        logic: the actor's name.
        kwargs: of the call.
        uuid: the Dramatiq message's id, unless the arguments name another.

    Raises:
        FrameInvalid: the arguments are not of this form; the text names what is missing.
    """
    try:
        body = kwargs["message"]
        raw = body["text"].encode("utf-8") if "text" in body else b64decode(body["base64"], validate=True)
        client = body.get("from_client")
        message = Message(
            to_logic=logic,
            to_client=body.get("to_client", ()),
            to_group=body.get("to_group", ()),
            uuid=body.get("uuid", uuid),
            message_raw=raw,
            metadata=body.get("metadata") or {},
            from_logic=body.get("from_logic"),
            from_client=Client(**client) if client else None,
        )
        message.reply_to = reply_to(body)
        return message
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FrameInvalid(f"queue {logic!r} holds something that is no message of it: {error!r}") from None


def reply_to(body: dict[str, Any], name: str = "reply_to") -> ReplyTo | None:
    """Where an answer goes, if one is wanted. Raises ``TypeError`` or ``ValueError`` for anything else."""
    given = body.get(name)
    if given is None:
        return None
    node, request = given
    if not isinstance(node, str) or not isinstance(request, str):
        raise TypeError(f"{name} must be two texts")
    return ReplyTo(node, request)


def _sender(client: Client) -> dict[str, Any]:
    optional = {"node": client.node, "session": client.session, "metadata": client.metadata}
    return {"uuid": client.uuid, **{name: value for name, value in optional.items() if value}}
