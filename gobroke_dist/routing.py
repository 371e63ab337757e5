"""Who gets a message: one pure function, and all there is to know about the question.

Loops are impossible by construction (contract R7): only the process where a message enters the system
routes it. What crosses to another node names clients and groups and nothing else, so nothing there can run
a logic or send on (R3). Where clients are that are not here is found by the step that sends to them.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple

from gobroke_dist.logic import LogicType
from gobroke_dist.message import Message


class View(NamedTuple):
    """What the routing process knows.

    Attributes:
        logics: the type of every logic of the application.
        here: the clients to which this process delivers at once.
    """

    logics: Mapping[str, LogicType]
    here: Container[str] = ()


class Route(NamedTuple):
    """The answer. Each recipient that the message names is in exactly one of the fields.

    Each node finds the members of the groups among its own clients, and gives none of them the message twice.

    Attributes:
        local: uuids of recipients to whom this process delivers at once.
        elsewhere: those of all others.
        groups: the groups to whose members it goes, except ``exclude``.
        everyone: to all clients of the cluster, except ``exclude``.
        exclude: the sender of a message to everyone or to groups, which does not get its own message back.
        dispatched: DISPATCHED logics, to run here.
        workers: WORKER logics, to hand the message to.
        passive: PASSIVE logics, which take no messages: an error.
        unknown_logics: names that no logic has: an error.
    """

    local: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    everyone: bool = False
    exclude: str | None = None
    dispatched: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    passive: tuple[str, ...] = ()
    unknown_logics: tuple[str, ...] = ()


def route(message: Message, view: View) -> Route:
    """Decide where a message goes. A recipient that is named twice gets it once.

    With ``to_all``, single recipients and groups are part of everyone, and are not listed again.
    """
    uuids = [] if message.to_all else list(dict.fromkeys([client.uuid for client in message.to_client]))
    routed = Route(
        local=tuple([uuid for uuid in uuids if uuid in view.here]),
        elsewhere=tuple([uuid for uuid in uuids if uuid not in view.here]),
        groups=() if message.to_all else tuple(dict.fromkeys(message.to_group)),
        everyone=message.to_all,
        exclude=_excluded(message),
    )
    if not message.to_logic:
        return routed
    by_type: dict[LogicType | None, list[str]] = {}
    for name in dict.fromkeys(message.to_logic):
        by_type.setdefault(view.logics.get(name), []).append(name)
    return routed._replace(
        dispatched=tuple(by_type.get(LogicType.DISPATCHED, ())),
        workers=tuple(by_type.get(LogicType.WORKER, ())),
        passive=tuple(by_type.get(LogicType.PASSIVE, ())),
        unknown_logics=tuple(by_type.get(None, ())),
    )


def _excluded(message: Message) -> str | None:
    to_many = message.to_all or message.to_group
    return message.from_client.uuid if to_many and message.exclude_sender and message.from_client else None
