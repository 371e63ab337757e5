"""A program that is led by the benchmark: a request on a line of its input, the answer on a line of its output.

Standard library only: peers import it too.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

Handler = Callable[..., Awaitable[dict[str, Any]]]

_LONGEST = 1 << 24


async def answer(**handlers: Handler) -> None:
    """Do what the requests say, one after another, until there are no more. Each names its handler as ``do``."""
    lines = asyncio.StreamReader(limit=_LONGEST)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        request = json.loads(line)
        say(**await handlers[request.pop("do")](**request))


def say(**what: Any) -> None:
    """Print one answer."""
    print(json.dumps(what), flush=True)
