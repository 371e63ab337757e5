"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from tests.bench.field import FIELD

_ASK = "import importlib.metadata as m, sys; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
_PACKAGES = {"celery": ("celery", "redis"), "taskiq": ("taskiq", "taskiq-redis", "redis"), "arq": ("arq", "redis")}


def describe(redis_version: str) -> dict[str, str]:
    """Facts by name."""
    return {
        "cores": str(os.cpu_count()),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "redis server": redis_version,
        "dramatiq": version("dramatiq"),
        "redis-py": version("redis"),
        **{module: _versions(module) for module in ("celery", "taskiq", "arq", "huey")},
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _versions(module: str) -> str:
    one = next(contestant for contestant in FIELD.values() if contestant.module == module)
    if one.missing:
        return one.missing
    packages = _PACKAGES.get(module, (module, "redis"))
    command = [one.python, "-c", _ASK, *packages]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
