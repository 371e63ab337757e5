"""A proxy for tests that have no event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from gobroke_dist.testing.faults.proxy import Proxy

_TIMEOUT = 10.0


@contextlib.contextmanager
def proxy_in_thread(target: str, *, seed: int = 0) -> Iterator[Proxy]:
    """A ``Proxy`` that runs on a thread of its own, for as long as the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="gobroke-proxy", daemon=True)
    thread.start()
    proxy = Proxy(target, seed=seed)
    try:
        asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result(_TIMEOUT)
        try:
            yield proxy
        finally:
            asyncio.run_coroutine_threadsafe(proxy.__aexit__(None, None, None), loop).result(_TIMEOUT)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_TIMEOUT)
        loop.close()
