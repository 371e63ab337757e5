"""A process full of clients: ``python -m tests.chaos.cluster.crowd SOCKET``; it obeys what comes over the socket."""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.contestants.roles import run
from tests.chaos.cluster.control import obeying
from tests.chaos.cluster.events import Event
from tests.chaos.cluster.person import Mortal, Person
from tests.chaos.cluster.wires import WIRES

_ABREAST = 40


class Crowd:
    """The clients of this process. Each method is an order."""

    def __init__(self) -> None:
        self._people: dict[str, Person] = {}
        self._mortals: dict[str, Mortal] = {}
        self._journal: list[Event] = []
        self._forgotten = 0
        self._ports: Mapping[str, Sequence[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._talking: set[asyncio.Task[None]] = set()
        self._dice = random.Random()

    async def gather(
        self, people: Mapping[str, tuple[str, int]], ports: Mapping[str, Sequence[int]], seed: str
    ) -> dict[str, Any]:
        """Connect clients: by name the wire that each uses, and its home; ``ports`` of the edges, by wire."""
        self._ports = ports
        self._dice = random.Random(seed)
        places = asyncio.Semaphore(_ABREAST)
        await asyncio.gather(
            *(self._bring(name, wire, home, f"{seed}/{name}", places) for name, (wire, home) in people.items())
        )
        gc.collect()
        gc.freeze()
        return {}

    async def talk(self, friends: Mapping[str, Sequence[str]], burst: int, pause: float) -> dict[str, Any]:
        """Let some send to their friends, until ``hush``."""
        for name, others in friends.items():
            self._start(self._people[name].talk(others, burst=burst, pause=pause), self._talking)
        return {}

    async def flap(self, every: float) -> dict[str, Any]:
        """Let one client after the other lose its connection, every so many seconds, and come back."""
        self._start(self._flap(every), self._talking)
        return {}

    async def hush(self) -> dict[str, Any]:
        """Nobody sends, or loses its connection, any more."""
        talking = tuple(self._talking)
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        return {}

    async def drop(self, seconds: float) -> dict[str, Any]:
        """Everybody's connection is lost, and nobody gets through for some time."""
        lost = [person for person in self._people.values() if person.place is not None]
        for person in self._people.values():
            person.lose(absent=seconds)
        return {"lost": len(lost)}

    async def move(self, place: int, share: float) -> dict[str, Any]:
        """Some of those on an edge give it up, and go elsewhere."""
        others = [one for one in range(len(next(iter(self._ports.values())))) if one != place]
        moved = 0
        for person in self._people.values():
            if person.place == place and self._dice.random() < share:
                person.lose(to=self._dice.choice(others))
                moved += 1
        return {"moved": moved}

    async def go_home(self) -> dict[str, Any]:
        """Everybody is on the edge on which it was at first."""
        for person in self._people.values():
            person.go_home()
        return {}

    async def mortals(self, place: int, names: Sequence[str]) -> dict[str, Any]:
        """Connect clients that will not come back, with each wire in turn."""
        wires = list(self._ports)
        for number, name in enumerate(names):
            wire = wires[number % len(wires)]
            mortal = Mortal(name, WIRES[wire], self._ports[wire][place])
            await mortal.connect()
            self._mortals[name] = mortal
        return {}

    async def end_mortals(self) -> dict[str, Any]:
        """They lose their connections."""
        for mortal in self._mortals.values():
            mortal.lose()
        self._mortals.clear()
        return {}

    async def look(self) -> dict[str, Any]:
        """How many are where, and who may not come back."""
        places = Counter(str(person.welcome_at) for person in self._people.values())
        away = {person.name: person.turned_away for person in self._people.values() if person.turned_away}
        return {"places": places, "turned_away": away}

    async def events(self, known: int) -> list[Event]:
        """What was noted after the first so many events. Those are forgotten: no answer with them was lost."""
        del self._journal[: known - self._forgotten]
        self._forgotten = known
        return self._journal[:]

    async def _bring(self, name: str, wire: str, home: int, seed: str, places: asyncio.Semaphore) -> None:
        person = Person(name, WIRES[wire], self._ports[wire], home, self._journal, seed)
        self._people[name] = person
        async with places:
            self._start(person.run(), self._tasks)
            await person.connected()

    async def _flap(self, every: float) -> None:
        people = list(self._people.values())
        while True:
            await asyncio.sleep(every * self._dice.uniform(0.5, 1.5))
            person = self._dice.choice(people)
            if person.place is not None:
                person.lose(absent=self._dice.choice((0.0, 0.0, 0.3)))

    def _start(self, work: Any, tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


async def main(socket: Path) -> None:
    """Obey until killed."""
    crowd = Crowd()
    async with obeying(
        socket,
        gather=crowd.gather,
        talk=crowd.talk,
        flap=crowd.flap,
        hush=crowd.hush,
        drop=crowd.drop,
        move=crowd.move,
        go_home=crowd.go_home,
        mortals=crowd.mortals,
        end_mortals=crowd.end_mortals,
        look=crowd.look,
        events=crowd.events,
    ):
        print("the crowd is ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    run(main(Path(sys.argv[1])))
