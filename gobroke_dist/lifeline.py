"""A process that does not outlive its parent.

The kernel sends a signal when the parent ends, however it ends (``PR_SET_PDEATHSIG`` of prctl(2)). To set it
between fork and exec would run Python in a forked, threaded process; so the child starts as this file, sets
it, and becomes the program it is to be, with the same process id. Standard library only: it is run by path.

Linux only; elsewhere the child just starts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def tied(command: Sequence[str], *, ends_with: signal.Signals = signal.SIGKILL) -> list[str]:
    """The command that runs ``command`` tied to the calling process.

    The tie is to the *thread* that starts it: start it from one that lives as long as the child should.

    Args:
        command: an absolute path or a name on the PATH, and its arguments.
        ends_with: the signal that the child gets when its parent has ended.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(int(ends_with)), *command]


def _main(parent: int, ends_with: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, ends_with, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the tie was there
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606 - there is no shell on purpose


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
