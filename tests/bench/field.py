"""Who takes part, and where each one's packages are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One that takes part in a measurement.

    Attributes:
        name: in figures and on the command line.
        label: for people.
        module: of its program.
        requirements: what pip installs into an environment of its own; nothing for those that ours has.
        environment: more variables.
    """

    name: str
    label: str
    module: str
    requirements: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def python(self) -> str:
        """The interpreter that has its packages."""
        return str(PEERS / self.module / "bin" / "python") if self.requirements else sys.executable

    @property
    def missing(self) -> str:
        """Why it can't take part; empty if it can."""
        if not self.requirements or (PEERS / self.module / "installed").exists():
            return ""
        reason = PEERS / self.module / "failed"
        return reason.read_text().strip() if reason.exists() else "not installed; `make bench` does it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant(Program):
    """One whose workers are measured; ``module`` is in ``tests.bench.contestants``.

    Attributes:
        own_processes: its program starts all worker processes itself.
        colours: of handlers it has.
        threads, prefetch: where they differ from the job's.
        loads_itself: nothing can send to it from outside.
        share: of a case's messages that it gets, where it would take much longer than the others.
    """

    own_processes: bool = False
    colours: tuple[str, ...] = ("def",)
    threads: int = 8
    prefetch: int = 0
    loads_itself: bool = False
    share: float = 1.0


_TASKIQ = ("taskiq>=0.11", "taskiq-redis>=1.0", "hiredis", "uvloop")

FIELD = {
    one.name: one
    for one in (
        Contestant(name="gobroke", label="gobroke_dist, in order", module="gobroke", colours=("def", "async")),
        Contestant(name="stock", label="Dramatiq RedisBroker", module="stock", colours=("def", "async")),
        Contestant(name="stock-1", label="Dramatiq, 1 thread, prefetch 512", module="stock", threads=1, prefetch=512),
        Contestant(name="stub", label="Dramatiq StubBroker, no Redis", module="stub", loads_itself=True),
        Contestant(
            name="celery",
            label="Celery, prefork",
            module="celery",
            requirements=("celery[redis]>=5.4", "hiredis"),
            share=0.3,
            own_processes=True,
        ),
        Contestant(
            name="taskiq",
            label="Taskiq, streams",
            module="taskiq",
            requirements=_TASKIQ,
            own_processes=True,
            colours=("def", "async"),
        ),
        Contestant(
            name="taskiq-list",
            label="Taskiq, list (no ack)",
            module="taskiq",
            requirements=_TASKIQ,
            own_processes=True,
            colours=("def", "async"),
            environment=(("BENCH_TASKIQ", "list"),),
        ),
        Contestant(
            name="arq",
            label="arq (async only)",
            module="arq",
            requirements=("arq>=0.26", "uvloop"),
            share=0.5,
            colours=("async",),
        ),
        Contestant(name="huey", label="Huey (no ack)", module="huey", requirements=("huey>=2.5", "redis", "hiredis")),
    )
}
