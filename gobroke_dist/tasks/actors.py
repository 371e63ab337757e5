"""Logics as Dramatiq actors, and their messages as Dramatiq's."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import dramatiq
from dramatiq.common import current_millis

from gobroke_dist.errors import FrameInvalid, PayloadInvalid
from gobroke_dist.keys import ClusterKeys
from gobroke_dist.logic import LogicBase, LogicType, Tick, is_async, logic_name
from gobroke_dist.message import Delivery, Message
from gobroke_dist.ordering import ONE_AFTER_ANOTHER
from gobroke_dist.outlet import Task
from gobroke_dist.tasks.broker import OrderedBroker
from gobroke_dist.tasks.delivery import Delivered
from gobroke_dist.tasks.letters import Undeliverable
from gobroke_dist.tasks.limits import actor_options
from gobroke_dist.tasks.parcel import ORDER_KEY, accepted_of, made, pack
from gobroke_dist.tasks.transaction import Transaction
from gobroke_dist.wire import task as wire

Run = Callable[[LogicBase, Message | Tick, Transaction], Awaitable[None] | None]
"""Runs a logic's handler with an outlet; a coroutine function for an ``async def`` handler, plain for the other."""


def declare(broker: OrderedBroker, logic: LogicBase, run: Run) -> dramatiq.Actor[Any, Any]:
    """Make the actor of a WORKER or PASSIVE logic, on a queue of its own (contract W1)."""
    name = logic_name(logic)
    options: dict[str, Any] = {
        "max_retries": logic.max_attempts - 1,
        "min_backoff": int(logic.min_backoff * 1000),
        "max_backoff": int(logic.max_backoff * 1000),
        "time_limit": int(logic.time_limit * 1000),
        "throws": (Undeliverable,),
        **actor_options(logic),
    }
    body: Callable[..., Awaitable[None] | None] = _function(broker, logic, run)
    if is_async(logic):
        body = broker.coroutines[name] = _coroutine(broker, logic, run)
    actor = dramatiq.actor(actor_name=name, queue_name=name, broker=broker, **options)(body)
    # At the level DEBUG it would log its arguments, which are the payload (contract O7).
    actor.logger.setLevel(logging.INFO)
    return actor


def to_dramatiq(task: Task) -> dramatiq.Message[Any]:
    """The Dramatiq message of a task. Its id is the message's uuid: the same message is the same task."""
    return made(
        queue_name=task.logic,
        actor_name=task.logic,
        args=(),
        kwargs=wire.to_kwargs(task.message, task.key),
        options={} if task.key is None else {ORDER_KEY: task.key},
        message_id=task.message.uuid,
        message_timestamp=current_millis(),
    )


def tick_message(logic: str, nominal_ms: int, scheduler: str = "") -> dramatiq.Message[Any]:
    """The Dramatiq message of one firing; every scheduler makes the same one."""
    return dramatiq.Message(
        queue_name=logic,
        actor_name=logic,
        args=(),
        kwargs={"tick": {"nominal_ms": nominal_ms, "scheduler": scheduler}},
        options={ORDER_KEY: ONE_AFTER_ANOTHER},
        message_id=str(uuid5(NAMESPACE_OID, f"{logic}@{nominal_ms}")),
    )


def _function(broker: OrderedBroker, logic: LogicBase, run: Run) -> Callable[..., None]:
    keys = ClusterKeys(broker.settings.prefix)

    def process(**kwargs: Any) -> None:
        current, transaction = broker.deliveries.current, Transaction(keys)
        try:
            run(logic, _argument(logic, kwargs, current), transaction)
        except PayloadInvalid as error:
            raise _judged(logic, error) from error
        _attach(broker, current, transaction)

    return process


def _coroutine(broker: OrderedBroker, logic: LogicBase, run: Run) -> Callable[..., Awaitable[None]]:
    keys = ClusterKeys(broker.settings.prefix)

    async def process(**kwargs: Any) -> None:
        current, transaction = broker.deliveries.current, Transaction(keys)
        try:
            running = run(logic, _argument(logic, kwargs, current), transaction)
            if running is not None:
                await running
        except PayloadInvalid as error:
            raise _judged(logic, error) from error
        _attach(broker, current, transaction)

    return process


def _argument(logic: LogicBase, kwargs: dict[str, Any], current: Delivered | None) -> Message | Tick:
    try:
        if logic.logic_type is LogicType.PASSIVE:
            return _tick(logic_name(logic), kwargs)
        uuid = None if current is None else current.message_id
        message = wire.from_kwargs(logic_name(logic), kwargs, uuid=uuid)
    except FrameInvalid as error:
        raise Undeliverable(str(error)) from error
    if current is not None:
        message.delivery = _delivery(current)
    return message


def _delivery(current: Delivered) -> Delivery:
    ticket, accepted = current.ticket, accepted_of(current.message)
    seq, at = accepted or (0, ticket.at)
    age = max(0, ticket.at - at) / 1000
    return Delivery(attempt=ticket.attempt, recovered=ticket.recovered, fence=ticket.fence, seq=seq, age=age)


def _tick(name: str, kwargs: dict[str, Any]) -> Tick:
    try:
        tick = kwargs["tick"]
        return Tick(datetime.fromtimestamp(tick["nominal_ms"] / 1000, UTC), str(tick.get("scheduler", "")))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        raise FrameInvalid(f"queue {name!r} holds something that is no firing of it: {error!r}") from None


def _judged(logic: LogicBase, error: PayloadInvalid) -> Exception:
    """The message's own payload will not get better; one that the handler tried to send is the handler's failure."""
    return Undeliverable(str(error)) if error.logic == logic_name(logic) else error


def _attach(broker: OrderedBroker, current: Delivered | None, transaction: Transaction) -> None:
    """Hand the effects over to the acknowledgement."""
    if current is None:
        return
    for effect in transaction.effects:
        if isinstance(effect, Task):
            parcel = pack(to_dramatiq(effect))
            broker.emit_before("enqueue", parcel.message, None)
            current.effects.append(parcel)
        else:
            current.effects.append(effect)
    current.after_commit += transaction.after_commit
