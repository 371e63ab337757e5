"""One measurement of one contestant."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.board import Board
from tests.bench.crew import Crew, Failed, crew, play
from tests.bench.field import Contestant
from tests.bench.job import Job
from tests.bench.server import Server
from tests.bench.takeover import trials

Figures = dict[str, float]

_READY_TIMEOUT = 30.0
_DRAIN_TIMEOUT = 60.0
_POLL = 0.005
_SETTLE = 0.15  # acknowledgements come after handlers


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where measurements are made."""

    server: Server
    folder: Path

    def drain(self, contestant: Contestant, job: Job, *, handled: int = 0) -> Figures:
        """Send all messages, then let the workers begin. ``handled``: stop after so many. Raises ``Failed``."""
        board, job = self._prepare(contestant, job)
        before = self.server.usage().memory
        loaded = {} if contestant.loads_itself else play(contestant, "load", job)
        waiting = self.server.usage().memory - before
        with crew(contestant, job) as workers:
            _await_ready(board, workers, job.processes)
            figures = self._drained(board, workers, handled or job.messages)
        board.close()
        if loaded:
            figures["send_rate"] = job.messages / loaded["seconds"]
            figures["memory"] = waiting / job.messages
        return figures

    def latency(self, contestant: Contestant, job: Job, *, idle: float) -> tuple[Figures, list[float]]:
        """Watch idle workers for ``idle`` seconds, then send single messages. Raises ``Failed``.

        Returns figures, and the age of each message when its handler began, in seconds.
        """
        board, job = self._prepare(contestant, replace(job, measure="age"))
        with crew(contestant, job) as workers:
            _await_ready(board, workers, job.processes)
            board.go()
            time.sleep(2.0)
            figures = self._idle(workers, idle) if idle else {}
            play(contestant, "drip", job)
            _await_total(board, workers, job.messages)
        ages = board.ages()
        board.close()
        return figures, ages

    def takeovers(self, contestant: Contestant, job: Job, count: int) -> list[float]:
        """Kill a worker so often. Raises ``Failed``."""
        return trials(self.server, contestant, job, count)

    def role(self, contestant: Contestant, role: str, job: Job) -> Figures:
        """One role alone."""
        board, job = self._prepare(contestant, job)
        figures = play(contestant, role, job)
        board.close()
        return figures

    def _prepare(self, contestant: Contestant, job: Job) -> tuple[Board, Job]:
        self.server.empty()
        board = Board(self.folder / "board")
        colour = job.handler if job.handler in contestant.colours else contestant.colours[0]
        return board, replace(
            job,
            url=self.server.url,
            board=str(board.path),
            handler=colour,
            threads=contestant.threads,
            prefetch=contestant.prefetch or job.prefetch,
            messages=job.messages if job.measure == "age" else int(job.messages * contestant.share),
        )

    def _drained(self, board: Board, workers: Crew, handled: int) -> Figures:
        usage = self.server.usage()
        board.go()
        _await_total(board, workers, 1)
        cpu, begun = workers.cpu(), board.total()
        _await_total(board, workers, handled)
        time.sleep(_SETTLE)
        cpu = workers.cpu() - cpu
        used = self.server.usage().since(usage)
        total = board.total()
        return {
            "rate": (total - 1) / board.seconds(),
            "cpu_10k": cpu / max(1, total - begun) * 10_000,
            "commands": used.commands / total,
            "requests": used.reads / total,
            "redis_us": used.cpu / total * 1e6,
            "extra_runs": float(total - handled),
        }

    def _idle(self, workers: Crew, seconds: float) -> Figures:
        usage, cpu = self.server.usage(), workers.cpu()
        time.sleep(seconds)
        used, cpu = self.server.usage().since(usage), workers.cpu() - cpu
        return {
            "idle_commands": used.commands / seconds,
            "idle_requests": used.reads / seconds,
            "idle_cpu": cpu / seconds,
        }


def _await_ready(board: Board, workers: Crew, count: int) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT
    while board.ready() < count:
        workers.check()
        if time.monotonic() > deadline:
            raise Failed(f"{board.ready()} of {count} workers were ready in time: {workers.last_words()}")
        time.sleep(_POLL)


def _await_total(board: Board, workers: Crew, count: int) -> None:
    deadline = time.monotonic() + _DRAIN_TIMEOUT
    while board.total() < count:
        workers.check()
        if time.monotonic() > deadline:
            raise Failed(f"{board.total()} of {count} messages were handled in time: {workers.last_words()}")
        time.sleep(_POLL)
