"""The nodes of one contestant over an empty Redis, with processes full of clients."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.bench.cluster.field import Entrant
from tests.bench.cluster.partner import Partner, partner
from tests.bench.crew import Failed
from tests.bench.field import Program
from tests.bench.server import Server, Usage

SERVERS = "tests.bench.cluster.servers"
_LOAD = Program(name="load", label="clients", module="load")
_WARM_UP, _WARMING = 20.0, 5.0
_ARRIVAL = 10.0
_POLL = 0.02
_SPARE_FILES = 200


@dataclass(frozen=True, slots=True)
class Reading:
    """What was used until a moment."""

    at: float
    redis: Usage
    nodes: float
    clients: float


class Stage:
    """The processes of one turn. They end with the block.

    Args:
        server: of all; it is emptied.
        entrant: whose nodes.
        nodes: how many.

    Attributes:
        ports: where the nodes listen.
    """

    def __init__(self, server: Server, entrant: Entrant, nodes: int) -> None:
        self.server = server
        self.ports: list[int] = []
        self._entrant = entrant
        self._count = nodes
        self._stack = ExitStack()
        self._nodes: list[Partner] = []
        self._crowds: list[Partner] = []

    def __enter__(self) -> Stage:
        self.server.empty()
        with self._stack:
            for _ in range(self._count):
                module = f"{SERVERS}.{self._entrant.module}"
                self._nodes.append(self._stack.enter_context(partner(self._entrant, module, self.server.url)))
            self.ports = [node.hear()["port"] for node in self._nodes]
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def crowd(self) -> Partner:
        """One more process for clients."""
        made = self._stack.enter_context(partner(_LOAD, "tests.bench.cluster.load", self._entrant.dialect))
        self._crowds.append(made)
        return made

    def read(self) -> Reading:
        """What was used until now."""
        nodes, clients = (sum(one.cpu() for one in group) for group in (self._nodes, self._crowds))
        return Reading(time.monotonic(), self.server.usage(), nodes, clients)


def await_count(crowds: list[Partner], count: int, within: float = _ARRIVAL) -> int:
    """Wait until so many messages have arrived. Returns when the last one did. Raises ``Failed``."""
    deadline = time.monotonic() + within
    while True:
        heard = [crowd.ask("heard") for crowd in crowds]
        arrived = sum(one["count"] for one in heard)
        if arrived == count:
            return max(int(one["last"]) for one in heard)
        if time.monotonic() > deadline or arrived > count:
            strange = next((f"; unexpected: {one['strange']}" for one in heard if one["strange"]), "")
            raise Failed(f"{arrived} of {count} messages arrived{strange}")
        time.sleep(_POLL)


def warm_up(send: Callable[[], dict[str, Any]], crowds: list[Partner]) -> None:
    """Send until all that was ``sent`` arrives, and forget it. Raises ``Failed``.

    Some subscribe only when the first client has connected.
    """
    deadline = time.monotonic() + _WARM_UP
    while True:
        try:
            await_count(crowds, send()["sent"], within=_WARMING)
            break
        except Failed:
            if time.monotonic() > deadline:
                raise
            time.sleep(1.0)
        finally:
            for crowd in crowds:
                crowd.ask("forget")


def open_files(most: int) -> int:
    """Raise this process' limit, which those that it starts inherit. Returns how many of ``most`` sockets it allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = sys.maxsize if hard == resource.RLIM_INFINITY else hard
    wanted = min(most + _SPARE_FILES, allowed)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(most, allowed - _SPARE_FILES)
