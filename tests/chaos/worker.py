"""``gobroke worker``, with a guard taken out if the environment says so: ``python -m tests.chaos.worker FOLDER …``."""

from __future__ import annotations

import os
import select
import sys
import time
from pathlib import Path


def sleep(seconds: float) -> None:
    """libfaketime 0.9.10 breaks sleeping until an instant of the monotonic clock, which is how Python sleeps."""
    select.select([], [], [], seconds)


def main() -> None:
    """Run the command line."""
    if "FAKETIME" in os.environ:
        time.sleep = sleep
    from gobroke_dist import cli  # noqa: PLC0415 - modules keep the sleep that they import
    from tests.chaos.sabotage import carry_out  # noqa: PLC0415

    carry_out(Path(sys.argv.pop(1)))
    cli.main()


if __name__ == "__main__":
    main()
