"""What the processes say: lines for people, or one JSON object per line.

The package logs with the standard library; this gives it, and the application's own loggers, one form. No
payload is ever logged, and passwords in URLs are masked wherever they turn up.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from gobroke_dist.settings import Settings

# Everything between // and the last @ before the path: a user name stays, a password does not.
_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/:@]*):[^\s/]*@", re.IGNORECASE)


def masked(text: str) -> str:
    """``text`` with the password of every URL in it replaced by ``***``."""
    return _PASSWORD.sub(r"\g<before>:***@", text)


def configure(settings: Settings, *, role: str) -> None:
    """Send all logging of this process to standard error, in the form and from the level that ``settings`` name.

    Args:
        settings: ``log_format``, ``log_level`` and ``node_id`` are used.
        role: ``edge``, ``worker``, ``scheduler`` or ``run``; part of every JSON line.
    """
    said_by = {"role": role} | ({"node": settings.node_id} if settings.node_id else {})
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json(said_by) if settings.log_format == "json" else _text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    logging.captureWarnings(True)


def _text() -> logging.Formatter:
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
    )
    return _formatter(
        structlog.processors.TimeStamper("%H:%M:%S", utc=False),
        structlog.processors.format_exc_info,
        _mask_all,
        renderer,
    )


def _json(said_by: dict[str, str]) -> logging.Formatter:
    def sign(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**event, **said_by}

    return _formatter(
        structlog.processors.TimeStamper("iso", utc=True),
        sign,
        structlog.processors.format_exc_info,
        _mask_all,
        structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
    )


def _formatter(*last: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _mask_all(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: masked(value) if isinstance(value, str) else value for name, value in event.items()}
