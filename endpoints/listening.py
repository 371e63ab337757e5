"""Where a server listens, and why it can't."""

from __future__ import annotations

import errno

from gobroke_dist.settings import Settings


def place(settings: Settings, host: str, port: int) -> tuple[str, int]:
    """The host and port to listen on: an endpoint's own, unless the settings replace them."""
    return settings.host or host, port if settings.port is None else settings.port


def url(scheme: str, host: str, port: int, path: str = "") -> str:
    """The address of what listens there."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


def why_not(host: str, port: int, error: Exception) -> str:
    """What to tell about a server that can't listen."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        what = "another process listens there; stop it, or set GOBROKE_PORT to another port (0: any free one)"
    else:
        what = (
            f"{getattr(error, 'strerror', None) or error}; set GOBROKE_HOST and GOBROKE_PORT to an address of this host"
        )
    return f"can't listen on {host}:{port}: {what}"
