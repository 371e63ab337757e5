"""Everything that runs: Redis, three edges that each reach it through a proxy of their own, and crowds of clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from gobroke_dist.cli.options import as_environment
from gobroke_dist.settings import Settings
from gobroke_dist.testing.faults import Program, Proxy
from tests.bench.cluster.stage import open_files
from tests.chaos.cluster.control import order, order_for
from tests.chaos.cluster.events import Event
from tests.chaos.cluster.sabotage import VARIABLE
from tests.chaos.cluster.wires import WIRES
from tests.chaos.servers import RedisServer
from tests.topologies.servers import HOST, SENTINEL_PASSWORD, Watched, free_port

CROWDS = 2
_STARTING = 60.0
_GATHERING = 120.0
_POLL = 0.1


class Edge:
    """One place with an edge in it.

    Args:
        place: its number.
        folder: for its socket.
        settings: what it gets, but for its own address.
        proxy: between it and Redis; None: there is none.
        sabotage: the guard that is taken out; empty: none.

    Attributes:
        ports: where clients reach it, by wire.
        program: the process; another one after each start.
    """

    def __init__(self, place: int, folder: Path, settings: Settings, proxy: Proxy | None, sabotage: str) -> None:
        self.place = place
        self.ports = {wire: free_port() for wire in WIRES}
        self.proxy = proxy
        self.program: Program
        self._socket = folder / f"edge-{place}.sock"
        own = {"host": HOST, "port": self.ports["websocket"], "node_id": f"edge-{place}"}
        if proxy is not None:
            own["redis_url"] = proxy.url
        self._environment = {**as_environment(settings.model_copy(update=own)), VARIABLE: sabotage}
        self._environment["PYTHONPATH"] = os.getcwd()
        self._said = ""

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        command = [sys.executable, "-m", "tests.chaos.cluster.edge", str(self._socket), str(self.ports["tcp"])]
        self.program = await Program(command, environment=self._environment).__aenter__()
        await self.program.until("the edge is ready", timeout=_STARTING)

    async def stop(self) -> None:
        """SIGKILL, if it runs."""
        if self.program.running:
            await self.program.__aexit__(None, None, None)
            self._said += self.program.output

    @property
    def output(self) -> str:
        """What it has said, those before it in its place as well."""
        return self._said + (self.program.output if self.program.running else "")

    async def ready(self) -> bool:
        """Whether ``/readyz`` says so."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(HOST, self.ports["websocket"])
                with contextlib.closing(writer):
                    writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    return b" 200 " in await reader.readline()
        return False

    async def counts(self) -> Counter[str]:
        """What it has counted since its start; drops as ``drop REASON``."""
        told = await order(self._socket, "counts")
        return Counter({**told["counts"], **{f"drop {reason}": count for reason, count in told["drops"].items()}})

    async def listed(self, prefix: str = "") -> list[str] | None:
        """The clients that it lists; None: it can't now."""
        with contextlib.suppress(TimeoutError):
            found: list[str] | None = await order(self._socket, "listed", within=4.0, prefix=prefix)
            return found
        return None

    def memory(self) -> int:
        """What it holds, in KiB."""
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        return int(status.split("VmRSS:", 1)[1].split(None, 1)[0])


class Stage:
    """What runs, once it does.

    Args:
        people: the names of all clients that come back.
        wires: how they reach an edge, in turns.
        seed: of their choices.

    Attributes:
        redis: the server; with Sentinels there is none, but those that they watch.
        people, wires: as given.
        edges, crowds: by place; crowds are the sockets at which they take orders.
    """

    def __init__(self, people: Sequence[str], wires: Sequence[str], seed: int) -> None:
        self.redis: RedisServer
        self.watched: Watched | None = None
        self.edges: list[Edge] = []
        self.crowds: list[Path] = []
        self.people = people
        self.wires = wires
        self._seed = seed
        self._known: Counter[Path] = Counter()
        self._taking = asyncio.Lock()

    def version(self) -> str:
        """Of the server."""
        client = self.redis.client if self.watched is None else self.watched.primary.client
        return str(client.info("server")["redis_version"])

    async def gather(self) -> None:
        """All clients come."""
        shares: list[dict[str, tuple[str, int]]] = [{} for _ in self.crowds]
        for number, name in enumerate(self.people):
            home = number // len(self.wires) % len(self.edges)
            shares[number % len(shares)][name] = (self.wires[number % len(self.wires)], home)
        ports = {wire: [edge.ports[wire] for edge in self.edges] for wire in self.wires}
        await asyncio.gather(
            *(
                order(crowd, "gather", within=_GATHERING, people=share, ports=ports, seed=f"{self._seed}/{number}")
                for number, (crowd, share) in enumerate(zip(self.crowds, shares, strict=True))
            )
        )

    async def tell(self, do: str, **arguments: Any) -> list[dict[str, Any]]:
        """Give an order to all crowds."""
        return list(await asyncio.gather(*(order(crowd, do, **arguments) for crowd in self.crowds)))

    async def tell_one(self, crowd: int, do: str, **arguments: Any) -> None:
        """Give an order to one of them."""
        await order(self.crowds[crowd], do, **arguments)

    async def talk(self, friends: dict[str, list[str]], *, burst: int, pause: float) -> None:
        """Let some clients send to their friends."""
        shares: list[dict[str, list[str]]] = [{} for _ in self.crowds]
        for name, others in friends.items():
            shares[self.people.index(name) % len(shares)][name] = others
        for crowd, share in zip(self.crowds, shares, strict=True):
            await order(crowd, "talk", friends=share, burst=burst, pause=pause)

    async def events(self) -> list[Event]:
        """What clients have noted since this returned last. A call that is cancelled has taken nothing."""
        async with self._taking:
            known = [self._known[crowd] for crowd in self.crowds]
            parts = await asyncio.gather(
                *(
                    order_for(crowd, "events", list[Event], known=count)
                    for crowd, count in zip(self.crowds, known, strict=True)
                )
            )
            self._known.update({crowd: len(part) for crowd, part in zip(self.crowds, parts, strict=True)})
        return [event for part in parts for event in part]

    async def whereabouts(self) -> tuple[Counter[int], dict[str, int]]:
        """How many clients are on each edge; and those that must not come back, with their codes."""
        places: Counter[int] = Counter()
        turned_away: dict[str, int] = {}
        for one in await self.tell("look"):
            places.update({int(place): count for place, count in one["places"].items() if place != "None"})
            turned_away |= one["turned_away"]
        return places, turned_away


@asynccontextmanager
async def staged(
    folder: Path,
    *,
    people: Sequence[str],
    seed: int,
    edges: int = 3,
    sentinels: bool = False,
    sabotage: str = "",
    program: str | None = None,
    wires: Sequence[str] = tuple(WIRES),
) -> AsyncIterator[Stage]:
    """Start everything but the clients, and end it with the block.

    Args:
        folder: for files.
        people: the names of all clients.
        seed: of their choices.
        edges: how many.
        sentinels: Redis is a primary with two replicas, watched by Sentinels; no proxies then.
        sabotage: the guard that is taken out in every edge.
        program: the path of the redis-server.
        wires: how clients reach an edge, in turns.
    """
    open_files(2 * len(people))
    async with AsyncExitStack() as stack:
        # All clients come from one address here.
        settings = Settings(prefix="chaos", log_level="warning", max_connections_per_address=0)
        made = Stage(people, wires, seed)
        if sentinels:
            made.watched = Watched(folder)
            running = made.watched.running()
            await asyncio.to_thread(running.__enter__)
            stack.push_async_callback(asyncio.to_thread, running.__exit__, None, None, None)
            more = {"redis_url": made.watched.url, "sentinel_password": SENTINEL_PASSWORD, "wait_replicas": 1}
            settings = settings.model_copy(update=more)
        else:
            made.redis = RedisServer(folder / "r", program=program)
            stack.callback(made.redis.stop)
            await asyncio.to_thread(made.redis.start)
        for place in range(edges):
            proxy = None
            if not sentinels:
                proxy = await stack.enter_async_context(Proxy(str(made.redis.socket), seed=seed + place))
            made.edges.append(Edge(place, folder, settings, proxy, sabotage))
        await asyncio.gather(*(edge.start() for edge in made.edges))
        for edge in made.edges:
            stack.push_async_callback(edge.stop)
        for number in range(CROWDS):
            socket = folder / f"crowd-{number}.sock"
            command = [sys.executable, "-m", "tests.chaos.cluster.crowd", str(socket)]
            crowd = await stack.enter_async_context(Program(command, environment={"PYTHONPATH": os.getcwd()}))
            await crowd.until("the crowd is ready", timeout=_STARTING)
            made.crowds.append(socket)
        yield made


async def sleep_until(moment: float) -> None:
    """Of the monotonic clock."""
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
