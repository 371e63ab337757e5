"""Worker processes of an application with audited logics, and the command that audits them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gobroke_dist.backends.redis import overview
from gobroke_dist.lifeline import tied
from gobroke_dist.settings import Settings
from tests.eventually import eventually_sync

ROOT = Path(__file__).parents[2]
APP = "gobroke_dist.audit.app:broke"
LEASE = 1.0


class Workers:
    """Worker processes over one Redis.

    Args:
        redis_url, prefix: where.
        folder: for what they print.
    """

    def __init__(self, redis_url: str, prefix: str, folder: Path) -> None:
        self.environment = {
            **{"GOBROKE_REDIS_URL": redis_url, "GOBROKE_PREFIX": prefix, "GOBROKE_WORKER_LEASE": str(LEASE)},
            **{"GOBROKE_LOG_LEVEL": "error", "GOBROKE_DRAIN_TIMEOUT": "5"},
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self._settings = Settings(redis_url=redis_url, prefix=prefix)
        self._log = folder / "workers.log"

    def start(self, count: int = 2, *, program: Sequence[str] = ("gobroke_dist.cli",), **environment: str) -> None:
        """Start some, and wait until all of them fetch. ``program`` is a module, and words before ``worker``."""
        command = tied([sys.executable, "-m", *program, "worker", APP])
        with self._log.open("ab") as output:
            self.processes += [
                subprocess.Popen(
                    command, cwd=ROOT, env={**os.environ, **self.environment, **environment}, stdout=output,
                    stderr=output,
                )
                for _ in range(count)
            ]  # fmt: skip
        eventually_sync(lambda: len(self.members()) >= len(self.processes), within=60)

    def members(self) -> set[int]:
        """The process ids of the workers that have joined."""
        return {one.pid for one in overview.read(self._settings, {}).members if one.role == "worker"}

    def stop(self) -> None:
        """Leave none behind."""
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(30)


@dataclass(frozen=True)
class Ended:
    """What an audit said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


def audit(*words: str, environment: Mapping[str, str], app: str = APP, timeout: float = 100) -> Ended:
    """``gobroke audit``, to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "gobroke_dist.cli", "audit", app, *words], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, **environment}, timeout=timeout, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)
