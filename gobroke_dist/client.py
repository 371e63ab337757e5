"""Who is connected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4


@dataclass(slots=True, eq=False)
class Client:
    """One connected client, as any node or worker of the cluster sees it.

    On the node that holds the connection this is the live object; anywhere else it is a snapshot. Two clients
    are equal when their ``uuid`` is: the cluster has each uuid at most once (contract C2).

    Attributes:
        uuid: the client's identity in the cluster.
        metadata: JSON-able facts about the client, visible on every node.
        last_message: when its last message was received, aware, UTC; at first, when it connected.
        node: the node that holds the connection; empty before registration.
        session: this connection, as opposed to an earlier or later one of the same client.
        changed: set by the node that holds the connection, and called when metadata is added.
    """

    uuid: str = field(default_factory=lambda: str(uuid4()))
    metadata: dict[str, Any] = field(default_factory=dict)
    last_message: datetime = field(default_factory=lambda: datetime.now(UTC))
    node: str = ""
    session: str = ""
    changed: Callable[[Client], None] | None = field(default=None, repr=False)

    def add_metadata(self, name: str, value: Any) -> None:
        """Set one metadata value. ``value`` must be JSON-able.

        On the node that holds the connection, other nodes see it within about a second. A snapshot's change stays
        with the snapshot.
        """
        self.metadata[name] = value
        if self.changed is not None:
            self.changed(self)

    def get_metadata(self, name: str, default: Any = None) -> Any:
        """The metadata value of this name, or ``default``."""
        return self.metadata.get(name, default)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Client) and other.uuid == self.uuid

    def __hash__(self) -> int:
        return hash(self.uuid)


def uuid_of(client: Client | str) -> str:
    """The uuid of what is given as a client, or as its uuid."""
    return client if isinstance(client, str) else client.uuid
