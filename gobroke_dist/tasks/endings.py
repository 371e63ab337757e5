"""How a message ends, by what Dramatiq's hooks said of it."""

from __future__ import annotations

import dramatiq
from dramatiq.middleware import Retries

from gobroke_dist.tasks import letters, notices
from gobroke_dist.tasks.delivery import Delivered, Settlement
from gobroke_dist.tasks.hooks import MAX_BACKOFF
from gobroke_dist.tasks.limits import attempts_of, halts_of


def acknowledged(broker: dramatiq.Broker, message: Delivered) -> Settlement:
    """How a message ends that Dramatiq acknowledges: it is committed, or put off when a hook has said so."""
    if message.put_off is None and message.exception is not None and _retries(broker):
        # A hook that was to record the retry has failed; the message must be neither lost by that nor run for ever.
        limit = attempts_of(broker, message.message)
        if limit is not None and message.ticket.attempt >= limit:
            return rejected(broker, message)
        message.postpone(MAX_BACKOFF)
    if message.put_off is None:
        receipt = notices.done(message.message, prefix=message.prefix)
        effects = [*message.effects, *receipt] if receipt else message.effects
        return Settlement("commit", message.ticket, effects=effects, message=message)
    again = message.put_off
    return Settlement("retry", message.ticket, again.payload, again.delay, message.effects, message)


def rejected(broker: dramatiq.Broker, message: Delivered) -> Settlement:
    """How a message ends that Dramatiq rejects: it is a dead letter, and its sender may hear of it."""
    reason = letters.reason_of(message.exception)
    halts = halts_of(broker, message.message, reason=reason)
    effects = [*message.effects, *notices.dead(message.message, reason, prefix=message.prefix)]
    return Settlement("reject", message.ticket, letters.dead(message).encode(), halts, effects, message)


def _retries(broker: dramatiq.Broker) -> bool:
    """Whether a message whose actor raised is tried again."""
    return any(isinstance(one, Retries) for one in broker.middleware)
