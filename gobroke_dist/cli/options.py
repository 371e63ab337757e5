"""Options that several commands have, and what they do to the settings."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gobroke_dist.application import load
from gobroke_dist.broke import Broke
from gobroke_dist.settings import Settings, effective


class LogLevel(StrEnum):
    """Choices of ``--log-level``."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Choices of ``--log-format``."""

    TEXT = "text"
    JSON = "json"


Path_ = Annotated[str, typer.Argument(metavar="APP", help="The application, as module:attribute.")]
RedisURL = Annotated[
    str | None,
    typer.Option(metavar="URL", help="redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// URL."),
]
Prefix = Annotated[str | None, typer.Option(help="First part of every Redis key.")]
NodeId = Annotated[str | None, typer.Option(help="Name of this process in logs and status.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on, instead of the endpoints' own.")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port of the first endpoint, instead of its own; 0: any free one.")
]
Threads = Annotated[int | None, typer.Option("--threads", "-t", min=1, help="Threads of each worker process.")]
Processes = Annotated[int | None, typer.Option("--processes", "-p", min=1, help="Worker processes.")]
Queues = Annotated[
    list[str] | None, typer.Option("--queues", "-Q", help="Only this logic's queue; give it again for more.")
]
DataDir = Annotated[Path | None, typer.Option(help="Where the embedded Redis keeps its data.")]
Level = Annotated[LogLevel | None, typer.Option("--log-level", help="What to log, from this level up.")]
Format = Annotated[LogFormat | None, typer.Option("--log-format", help="For people, or one JSON object per line.")]
ReadyFd = Annotated[int | None, typer.Option(hidden=True)]


def application(path: str, **flags: Any) -> Broke:
    """Load an application, with the flags that were given as a part of its environment.

    So its settings are final from the start, also for what its module does while it is loaded.

    Raises:
        pydantic.ValidationError: a setting can't be used.
        ApplicationNotFound: the path names no application.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    effective(**given)
    os.environ.update({f"GOBROKE_{name.upper()}": str(value) for name, value in given.items()})
    return load(path)


def as_environment(settings: Settings) -> dict[str, str]:
    """The same settings for a child process. A password in a URL is not seen there by other users, as a flag is."""
    values = settings.model_dump(mode="json", exclude_none=True)
    return {f"GOBROKE_{name.upper()}": str(value) for name, value in values.items()}
