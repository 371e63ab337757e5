"""``gobroke worker``, with a guard taken out if the environment says so: ``python -m tests.chaos.worker FOLDER …``."""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path

from gobroke_dist.cli import main
from tests.chaos.sabotage import carry_out


def sleep(seconds: float) -> None:
    """libfaketime 0.9.10 breaks sleeping until an instant of the monotonic clock, which is how Python sleeps."""
    select.select([], [], [], seconds)


if __name__ == "__main__":
    if "FAKETIME" in os.environ:
        time.sleep = sleep
    carry_out(Path(sys.argv.pop(1)))
    main()
