"""gobroke_dist: clients on many edge nodes, business code in strict order on Dramatiq workers, one Redis.

The names of ``gobroke_dist.public`` are the public interface; everything else may change between minor versions. They
are imported when one is first asked for: a program that is only a client (``gobroke_dist.connection``) loads no server.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gobroke_dist.public import *  # noqa: F403

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    public = None
    # Asked for a module, this is to say no, and to import nothing: that is the import's own work.
    if not name.startswith("__") and find_spec(f"{__name__}.{name}") is None:
        public = import_module("gobroke_dist.public")
    if public is None or name not in public.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(public, name)
    return value
