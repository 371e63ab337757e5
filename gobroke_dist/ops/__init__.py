"""Operating a cluster from outside of it: the HTTP API, and the clients for it.

    from gobroke_dist.ops import APIClient, AsyncAPIClient

Each is imported when it is first asked for: an edge that serves the API needs none, and the blocking one no aiohttp.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gobroke_dist.ops.async_client import AsyncAPIClient
    from gobroke_dist.ops.blocking_client import APIClient

__all__ = ["APIClient", "AsyncAPIClient"]

_WHERE: Final = {"APIClient": "blocking_client", "AsyncAPIClient": "async_client"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    return value
