"""Who gets a message: one pure function, and all there is to know about the question.

Loops are impossible by construction (contract R7): only the process where a message enters the system
routes it. What crosses to another node names clients and nothing else, so nothing there can run a logic
or send on (R3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gobroke_dist.logic import LogicType
from gobroke_dist.message import Message


@dataclass(frozen=True, slots=True)
class View:
    """What the routing process knows.

    Attributes:
        node: this process's id; its clients are local.
        logics: the type of every logic of the application.
        locations: for each recipient that is connected somewhere, the node that holds it.
    """

    node: str
    logics: Mapping[str, LogicType] = field(default_factory=dict)
    locations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """The answer. Each recipient of the message is in exactly one of the fields.

    Attributes:
        local: uuids of recipients on this node.
        remote: for each other node, the uuids of the recipients there.
        everyone: to all clients of the cluster, except ``exclude``.
        exclude: the sender of a message to everyone, which does not get its own message back.
        dispatched: DISPATCHED logics, to run here.
        workers: WORKER logics, to hand the message to.
        passive: PASSIVE logics, which take no messages: an error.
        unknown_logics: names that no logic has: an error.
        missing_clients: uuids that no node has: an error.
    """

    local: tuple[str, ...] = ()
    remote: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    everyone: bool = False
    exclude: str | None = None
    dispatched: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    passive: tuple[str, ...] = ()
    unknown_logics: tuple[str, ...] = ()
    missing_clients: tuple[str, ...] = ()


def route(message: Message, view: View) -> Route:
    """Decide where a message goes. A recipient that is named twice gets it once.

    With ``to_all``, single recipients are part of everyone, and are not listed again.
    """
    by_node: dict[str, list[str]] = {}
    missing: list[str] = []
    if not message.to_all:
        for client in dict.fromkeys(message.to_client):
            node = view.locations.get(client.uuid)
            if node is None:
                missing.append(client.uuid)
            else:
                by_node.setdefault(node, []).append(client.uuid)
    by_type: dict[LogicType | None, list[str]] = {}
    for name in dict.fromkeys(message.to_logic):
        by_type.setdefault(view.logics.get(name), []).append(name)
    local = by_node.pop(view.node, [])
    return Route(
        local=tuple(local),
        remote={node: tuple(uuids) for node, uuids in by_node.items()},
        everyone=message.to_all,
        exclude=message.from_client.uuid if message.to_all and message.from_client else None,
        dispatched=tuple(by_type.get(LogicType.DISPATCHED, ())),
        workers=tuple(by_type.get(LogicType.WORKER, ())),
        passive=tuple(by_type.get(LogicType.PASSIVE, ())),
        unknown_logics=tuple(by_type.get(None, ())),
        missing_clients=tuple(missing),
    )
