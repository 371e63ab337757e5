"""Reading what a queue holds, whoever wrote it, and writing dead letters."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any, NamedTuple

import dramatiq
import msgspec
from dramatiq import get_encoder
from dramatiq.encoder import JSONEncoder
from dramatiq.errors import ActorNotFound
from dramatiq.middleware import SkipMessage

from gobroke_dist.tasks.delivery import Delivered, Ticket
from gobroke_dist.tasks.parcel import HELD_BY_REDIS, REDIS_ID, made

DEAD_ID = "dead_id"
"""Names, in a dead letter, its own id: what an ordering key that is halted waits for."""

_OBITUARY = ("dead_reason", "error", "attempts", DEAD_ID)
_NOT_FOR_ACTORS = frozenset({"eta", *_OBITUARY})
_WORDS = 500


class Unreadable(ValueError):
    """The payload is no Dramatiq message."""


class Undeliverable(Exception):
    """A message's arguments are not what its logic takes: trying again would not help."""


class Letter(NamedTuple):
    """A message as its actor is to see it.

    Attributes:
        message: on its own queue, with its id in Redis, without a time to wait for.
        eta: Unix milliseconds before which another tool wants it not to start; 0 for none.
        revives: the id of the dead letter that it was, if another tool made it of one.
    """

    message: dramatiq.Message[Any]
    eta: int
    revives: str


def read(payload: bytes, *, queue: str, redis_id: str) -> Letter:
    """Decode a payload. Raises ``Unreadable``."""
    try:
        fields = _decoded(payload)
        options, kwargs = fields["options"], fields["kwargs"]
        actor_name, args = fields["actor_name"], tuple(fields["args"])
        message_id, timestamp = fields["message_id"], fields["message_timestamp"]
    except Exception as error:  # noqa: BLE001 - an encoder of the application's own may raise anything
        raise Unreadable(f"not a message: {_without_payload(error)}") from None
    if not isinstance(options, dict) or not isinstance(kwargs, dict):
        raise Unreadable("not a message: its options and kwargs must be objects")
    if not isinstance(actor_name, str) or not isinstance(message_id, str):
        raise Unreadable("not a message: its actor_name and message_id must be texts")
    eta = 0 if options.pop(HELD_BY_REDIS, None) else _number(options.get("eta"))
    revives = str(options.get(DEAD_ID) or "")
    for name in _NOT_FOR_ACTORS & options.keys():
        del options[name]
    options[REDIS_ID] = redis_id
    message = made(
        queue_name=queue,
        actor_name=actor_name,
        args=args,
        kwargs=kwargs,
        options=options,
        message_id=message_id,
        message_timestamp=timestamp,
    )
    return Letter(message, eta, revives)


def _without_payload(error: Exception) -> str:
    """What is wrong; the texts of other errors may hold what they failed to decode (contract O7)."""
    cause = getattr(error, "error", None) or error
    name = type(cause).__name__
    return f"{name}: {cause}" if isinstance(cause, json.JSONDecodeError | KeyError | TypeError) else name


def _decoded(payload: bytes) -> dict[str, Any]:
    """What Dramatiq's encoder reads; where that is JSON, by a faster reader of it."""
    encoder = get_encoder()
    if type(encoder) is JSONEncoder:
        try:
            found: dict[str, Any] = msgspec.json.decode(payload)
        except msgspec.DecodeError:  # Dramatiq's is more lenient: NaN, lone surrogates
            return encoder.decode(payload)
        return found
    return encoder.decode(payload)


def junk(payload: bytes, *, queue: str, redis_id: str, error: Exception) -> dramatiq.Message[Any]:
    """A dead letter around bytes that are no message, so that every tool can show it."""
    return dramatiq.Message(
        queue_name=queue,
        actor_name=queue,
        args=(),
        kwargs={"unreadable_base64": b64encode(payload).decode("ascii")},
        options={REDIS_ID: redis_id, **_obituary("unreadable", str(error), redis_id, 1)},
        message_id=redis_id,
    )


def dead(message: Delivered) -> dramatiq.Message[Any]:
    """The dead letter of a message that failed: why, of what, after how many attempts."""
    error, ticket = message.exception, message.ticket
    text = "" if error is None else f"{type(error).__name__}: {error}"
    return message.message.copy(options=_obituary(reason_of(error), text, ticket.id, ticket.attempt))


def killer(message: dramatiq.Message[Any], ticket: Ticket) -> dramatiq.Message[Any]:
    """The dead letter of a message whose last run ended with its process, and that may not start again."""
    text = "the process that ran it died"
    return message.copy(options=_obituary("crashed", text, ticket.id, ticket.attempt - 1))


def skipped(message: dramatiq.Message[Any], *, redis_id: str, attempts: int) -> dramatiq.Message[Any]:
    """The dead letter of a message that an operator does not want to run."""
    return message.copy(options=_obituary("skipped", "by an operator", redis_id, attempts))


def revived(message: dramatiq.Message[Any]) -> dramatiq.Message[Any]:
    """A dead letter as a new message, with all of its attempts."""
    dropped = ("eta", HELD_BY_REDIS, "retries", "traceback", "requeue_timestamp", *_OBITUARY)
    options = {name: value for name, value in message.options.items() if name not in dropped}
    return dramatiq.Message(**{**message.asdict(), "options": options})


def _obituary(reason: str, error: str, redis_id: str, attempts: int) -> dict[str, Any]:
    return {"dead_reason": reason, "error": error[:_WORDS], "attempts": attempts, DEAD_ID: redis_id}


def reason_of(error: BaseException | None) -> str:
    """Why a message is dead, in one word."""
    if isinstance(error, Undeliverable):
        return "invalid"
    if isinstance(error, ActorNotFound):
        return "unknown_actor"
    if error is None or isinstance(error, SkipMessage):
        return "skipped"
    return "attempts"


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0
