"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from tests.bench.field import Program

_ASK = "import importlib.metadata as m, sys; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
_PACKAGES = {
    "celery": ("celery", "redis"),
    "taskiq": ("taskiq", "taskiq-redis", "redis"),
    "arq": ("arq", "redis"),
    "huey": ("huey", "redis"),
    "socketio": ("python-socketio", "python-engineio", "aiohttp", "redis"),
    "channels": ("channels_redis", "channels", "aiohttp", "redis"),
}


def describe(redis_version: str, ours: Iterable[str], programs: Iterable[Program]) -> dict[str, str]:
    """Facts by name.

    Args:
        redis_version: of the server.
        ours: packages of the product's that matter, beside redis-py.
        programs: those with packages of their own are asked for their versions.
    """
    peers = {one.module: one for one in programs if one.requirements}
    return {
        "cores": str(os.cpu_count()),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "redis server": redis_version,
        "redis-py": version("redis"),
        **{package: version(package) for package in ours},
        **{module: _versions(one) for module, one in peers.items()},
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions(one: Program) -> str:
    if one.missing:
        return one.missing
    command = [one.python, "-c", _ASK, *_PACKAGES[one.module]]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
