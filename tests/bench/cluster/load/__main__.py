"""Many clients in one process: ``python -m tests.bench.cluster.load DIALECT``."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from typing import Any

from tests.bench.cluster.answering import answer
from tests.bench.cluster.load.dialects import DIALECTS, Dialect
from tests.bench.cluster.load.heard import Heard, Tally
from tests.bench.cluster.load.pacing import paced, windowed
from tests.bench.cluster.load.stamps import TEXT, Stamped
from tests.bench.cluster.load.websocket import WebSocket
from tests.bench.contestants.roles import run

_ABREAST = 50
_PATIENCE = 30.0


class Crowd:
    """The clients of this process.

    Args:
        dialect: how they speak.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._heard = Heard()
        self._clients: list[WebSocket] = []
        self._messages: list[Stamped] = []
        self._shout = Stamped(dialect.to_all(TEXT))

    async def connect(self, port: int, count: int, prefix: str) -> dict[str, Any]:
        """Connect so many more. Returns their addresses, and how long it took."""
        places, started = asyncio.Semaphore(_ABREAST), time.monotonic()
        addresses = await asyncio.gather(*(self._one(port, f"{prefix}-{number}", places) for number in range(count)))
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection would count as the servers' latency
        return {"addresses": addresses, "seconds": time.monotonic() - started}

    async def aim(self, addresses: list[str]) -> dict[str, Any]:
        """Give each client somebody to send to."""
        turns = range(len(self._clients))
        self._messages = [Stamped(self._dialect.to_one(addresses[turn % len(addresses)], TEXT)) for turn in turns]
        return {}

    async def volley(self) -> dict[str, Any]:
        """One message of each client."""
        for number in range(len(self._clients)):
            self._send(number)
        return {"sent": len(self._clients)}

    async def pace(self, rate: int, seconds: float) -> dict[str, Any]:
        """Send evenly, in turns."""
        return {"sent": await paced(self._send, rate, seconds)}

    async def flood(self, window: int, seconds: float, tally: str) -> dict[str, Any]:
        """Send as fast as messages arrive, in turns."""
        started = time.monotonic_ns()
        return {"started": started, "sent": await windowed(self._send, window, seconds, Tally(tally))}

    async def shout(self) -> dict[str, Any]:
        """One message of the first client to everybody. Returns when it was sent."""
        now = time.monotonic_ns()
        self._clients[0].write(self._shout.at(now))
        return {"started": now}

    async def count(self, tally: str) -> dict[str, Any]:
        """Count in shared memory as well, from now on."""
        self._heard.count_in(tally)
        return {}

    async def heard(self, ages: bool = False) -> dict[str, Any]:
        """What came."""
        return self._heard.told(ages=ages)

    async def forget(self) -> dict[str, Any]:
        """Forget what came."""
        self._heard.forget()
        return {}

    async def _one(self, port: int, name: str, places: asyncio.Semaphore) -> str:
        async with places, asyncio.timeout(_PATIENCE):
            loop = asyncio.get_running_loop()
            _, client = await loop.create_connection(
                lambda: WebSocket(self._dialect, name, self._heard), "127.0.0.1", port
            )
            self._clients.append(client)
            return await client.ready

    def _send(self, number: int) -> None:
        turn = number % len(self._clients)
        self._clients[turn].write(self._messages[turn].at(time.monotonic_ns()))


async def main(dialect: str) -> None:
    """Do what the benchmark says."""
    crowd = Crowd(DIALECTS[dialect]())
    await answer(
        connect=crowd.connect,
        aim=crowd.aim,
        volley=crowd.volley,
        pace=crowd.pace,
        flood=crowd.flood,
        shout=crowd.shout,
        count=crowd.count,
        heard=crowd.heard,
        forget=crowd.forget,
    )


if __name__ == "__main__":
    run(main(sys.argv[1]))
