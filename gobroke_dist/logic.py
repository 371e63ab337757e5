"""Business code: what a logic is, and what it can do."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, Protocol

from pydantic import BaseModel

from gobroke_dist.client import Client
from gobroke_dist.errors import NotRunning
from gobroke_dist.message import Message

OnPoison = Literal["skip", "halt_key", "halt_logic"]
OnFull = Literal["wait", "refuse"]
OrderBy = Literal["logic", "client"] | Callable[..., str | None] | None
"""A function gets the message; one that stands on the class may be a method, and gets the logic before it."""


class LogicType(StrEnum):
    """Where and when a logic runs."""

    DISPATCHED = "dispatched"
    WORKER = "worker"
    PASSIVE = "passive"


@dataclass(frozen=True, slots=True)
class Tick:
    """One firing of a PASSIVE logic.

    Attributes:
        nominal: the instant that the schedule names, aware, UTC. Late or not, it is the same on every machine.
        scheduler: the node that fired it.
    """

    nominal: datetime
    scheduler: str = ""


class Operations(Protocol):
    """What a logic may ask of the application, wherever it runs.

    Each call follows the colour of its caller: on an event loop it returns an awaitable (``await
    self.get_client(...)``); in a plain ``def`` handler, which runs on a thread, it blocks that thread and
    returns the value itself.
    """

    def send_message(self, message: Message) -> Any: ...
    def send_message_quickly(self, message: Message) -> Any: ...
    def get_client(self, uuid: str, local_only: bool = False) -> Any: ...
    def get_all_clients(self, local_only: bool = False) -> Any: ...
    def remove_client(self, client: Client | str) -> Any: ...
    def revoke(self, client: Client | str) -> Any: ...
    def request(self, message: Message, timeout: float = 5.0) -> Any: ...
    def reply(self, message: Message, data: Any = None, *, sender: str | None = None) -> Any: ...
    def join_group(self, client: Client | str, group: str) -> Any: ...
    def leave_group(self, client: Client | str, group: str) -> Any: ...
    def get_group(self, group: str) -> Any: ...
    def count_group(self, group: str) -> Any: ...


class LogicBase:
    """The base of every logic. Set the class attributes, write ``run_logic`` (or ``run_tick``), add an instance.

    The calls below return an awaitable in an ``async def`` handler and the value itself in a plain ``def``
    handler, and work the same in a DISPATCHED, a WORKER and a PASSIVE logic (contract A3, A4).

    Attributes:
        name: unique in the application; by default the class's name in lower case.
        logic_type: DISPATCHED, WORKER or PASSIVE.
        payload: a pydantic model; the payload is validated at the edge and again where it runs (contract A5).
        concurrency: DISPATCHED: how many messages run at once on one node; beyond it senders wait. WORKER and
            PASSIVE, with an ``async def`` handler: how many run at once in one process; a ``def`` handler has threads.
        order_by: WORKER: what is processed one after another: the whole ``"logic"``, each sending ``"client"``,
            each value of a function of the message, or nothing (``None``).
        max_attempts: WORKER, PASSIVE: runs of one message before it is dead-lettered, whether they raised or their
            process died.
        on_poison: WORKER, PASSIVE: what follows then: ``"skip"``: the next message runs; ``"halt_key"``: its ordering
            key waits for an operator; ``"halt_logic"``: no message of the logic runs until an operator resumes it.
        max_waiting: WORKER: how many messages its queue may hold; None: any number. What workers send is exempt.
        on_full: WORKER: what becomes of a message for a queue that is full: ``"wait"``: a client's next frame is not
            read until there is room, for ``Settings.full_timeout`` at most; then, or with ``"refuse"`` at once, it is
            refused with ``QueueFull``.
        min_backoff, max_backoff: WORKER, PASSIVE: seconds before the first retry, and at most.
        time_limit: WORKER, PASSIVE: seconds that one run may take.
        every: PASSIVE: seconds from one nominal time to the next.
        cron: PASSIVE: a cron expression instead of ``every``, read in ``zone``.
        zone: PASSIVE: an IANA time zone, for ``cron``.
        watches_groups: DISPATCHED, WORKER: get a message whenever a client joins a group or leaves one; its payload is
            ``{"event": "joined" or "left", "group": name, "client": uuid}``.
        scope: PASSIVE: one run per nominal time in the whole ``"cluster"``, or one on every ``"node"``.
    """

    name: str = ""
    logic_type: LogicType = LogicType.DISPATCHED
    payload: ClassVar[type[BaseModel] | None] = None
    concurrency: int = 64
    order_by: OrderBy = "logic"
    max_attempts: int = 5
    on_poison: OnPoison = "skip"
    max_waiting: int | None = 100_000
    on_full: OnFull = "wait"
    min_backoff: float = 0.2
    max_backoff: float = 30.0
    time_limit: float = 600.0
    every: float | None = None
    cron: str | None = None
    zone: str = "UTC"
    scope: Literal["cluster", "node"] = "cluster"
    watches_groups: bool = False

    _operations: Operations | None = None

    def __init__(self, name: str | None = None, logic_type: LogicType | None = None) -> None:
        if name is not None:
            self.name = name
        if logic_type is not None:
            self.logic_type = logic_type

    def run_logic(self, message: Message) -> Awaitable[None] | None:
        """Process one message; ``def`` or ``async def``. What it raises is reported, retried or dead-lettered."""
        raise NotImplementedError(f"logic {logic_name(self)!r} has no run_logic()")

    def run_tick(self, tick: Tick) -> Awaitable[None] | None:
        """PASSIVE: do the periodic work of one nominal time; ``def`` or ``async def``."""
        raise NotImplementedError(f"logic {logic_name(self)!r} has no run_tick()")

    def send_message(self, message: Message) -> Any:
        """Send to clients and logics. ``from_logic`` is filled in.

        In a WORKER the message goes out in the same atomic step that acknowledges the one being handled.

        Raises:
            LogicDoesNotExist, LogicIsPassive: ``to_logic`` names one.
            ClientDoesNotExist: a recipient is connected to no node.
            MessageRejected: a send middleware rejected the message.
            Unavailable: it could not be accepted now.
        """
        return self._ask.send_message(self._signed(message))

    def send_message_quickly(self, message: Message) -> Any:
        """Send to clients past every logic; ``to_logic`` is ignored."""
        return self._ask.send_message_quickly(self._signed(message))

    def get_client(self, uuid: str, local_only: bool = False) -> Any:
        """The client of this uuid.

        Raises:
            ClientDoesNotExist: no node has it (with ``local_only``: this one does not).
        """
        return self._ask.get_client(uuid, local_only)

    def get_all_clients(self, local_only: bool = False) -> Any:
        """Every client of the cluster, or of this node, as a list of ``Client``."""
        return self._ask.get_all_clients(local_only)

    def remove_client(self, client: Client | str) -> Any:
        """Close a client's connection on whichever node holds it.

        Raises:
            ClientDoesNotExist: no node has it.
            ClientCouldNotBeDisconnected: its node did not confirm.
        """
        return self._ask.remove_client(client)

    def revoke(self, client: Client | str) -> Any:
        """Let nothing count any more that a client has been given to show until now, and close its connection. See
        ``Broke.revoke`` for what it returns and raises.
        """
        return self._ask.revoke(client)

    def request(self, message: Message, timeout: float = 5.0) -> Any:
        """Ask one logic or one client, and wait for the answer: a ``Message`` with the request's uuid.

        In a WORKER the request goes out at once, and not with the commit: a run that is repeated asks again. A logic
        that is processed one after another must not ask itself, nor two such logics each other: both would wait for
        the end of the time.

        Args:
            message: names one recipient.
            timeout: seconds to wait.

        Raises:
            RequestInvalid: it names none, or several.
            RequestTimedOut: no answer came in time; the request may still be processed.
            RequestFailed: who was asked failed, or is gone.
            LogicDoesNotExist, LogicIsPassive, PayloadInvalid, ClientDoesNotExist, MessageRejected, Unavailable: it
                was not sent.
        """
        return self._ask.request(self._signed(message), timeout)

    def reply(self, message: Message, data: Any = None) -> Any:
        """Answer a request, once. In a WORKER the answer goes out when, and only when, the message is acknowledged.

        Args:
            message: the request that this logic has got.
            data: bytes, or anything that JSON has.

        Raises:
            RequestInvalid: the message is no request, or was answered already.
            Unavailable: the answer was not accepted.
        """
        return self._ask.reply(message, data, sender=logic_name(self))

    def join_group(self, client: Client | str, group: str) -> Any:
        """Make a client a member of a group, at once, also in a WORKER. It leaves when it disconnects.

        A client object means this connection of it, a uuid whichever there is. What is sent to the group once this
        has returned reaches the client.

        Raises:
            ClientDoesNotExist: it is not connected, or another connection took its place.
            GroupInvalid: no group can have this name.
        """
        return self._ask.join_group(client, group)

    def leave_group(self, client: Client | str, group: str) -> Any:
        """Take a client out of a group, at once. Nothing happens if it is not in it, or not connected.

        Raises:
            GroupInvalid: no group can have this name.
        """
        return self._ask.leave_group(client, group)

    def get_group(self, group: str) -> Any:
        """The members of a group in the whole cluster, as a list of ``Client``; none: an empty one."""
        return self._ask.get_group(group)

    def count_group(self, group: str) -> Any:
        """How many members a group has, at a cost that does not grow with their number."""
        return self._ask.count_group(group)

    @property
    def _ask(self) -> Operations:
        if self._operations is None:
            raise NotRunning(f"logic {logic_name(self)!r}")
        return self._operations

    def _signed(self, message: Message) -> Message:
        if message.from_logic is None:
            message.from_logic = logic_name(self)
        return message


def logic_name(logic: LogicBase) -> str:
    """The name under which messages address this logic."""
    return logic.name or type(logic).__name__.lower()


def is_async(logic: LogicBase) -> bool:
    """Whether the logic's handler is ``async def``."""
    return inspect.iscoroutinefunction(handler_of(logic))


def handler_of(logic: LogicBase) -> Callable[[Any], Awaitable[None] | None]:
    """``run_tick`` of a PASSIVE logic, ``run_logic`` of any other."""
    return logic.run_tick if logic.logic_type is LogicType.PASSIVE else logic.run_logic


def queues_of(logics: Mapping[str, LogicBase]) -> list[str]:
    """The names of the logics that have a queue, sorted."""
    return sorted(
        name
        for name, logic in logics.items()
        if logic.logic_type is LogicType.WORKER or (logic.logic_type is LogicType.PASSIVE and logic.scope == "cluster")
    )
