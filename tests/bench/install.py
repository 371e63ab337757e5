"""An environment for each peer, so that none has to use another's version of redis-py.

A peer that can't be installed is noted with the reason; the benchmark shows it and goes on without.
"""

from __future__ import annotations

import subprocess
import sys
import venv

from tests.bench.cluster.field import CLUSTER
from tests.bench.field import FIELD, PEERS

_TIMEOUT = 300


def main() -> None:
    """Install what is missing."""
    programs = (*FIELD.values(), *CLUSTER.values())
    wanted = {one.module: one.requirements for one in programs if one.requirements}
    for module, requirements in wanted.items():
        folder = PEERS / module
        if (folder / "installed").exists():
            continue
        print(f"installing {' '.join(requirements)}", flush=True)
        error = _install(module, requirements)
        (folder / ("failed" if error else "installed")).write_text(error or " ".join(requirements))
        if error:
            print(f"{module} can't be installed and does not take part: {error}", file=sys.stderr)


def _install(module: str, requirements: tuple[str, ...]) -> str:
    """Why it failed; empty if it did not."""
    folder = PEERS / module
    venv.create(folder, with_pip=True)
    (folder / "failed").unlink(missing_ok=True)
    command = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    try:
        ran = subprocess.run([*command, *requirements], capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"pip took longer than {_TIMEOUT} s"
    if ran.returncode == 0:
        return ""
    return (ran.stderr.strip().splitlines() or ["pip said nothing"])[-1]


if __name__ == "__main__":
    main()
