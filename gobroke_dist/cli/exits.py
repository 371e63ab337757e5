"""How a command ends: one line that says why, and an exit code that says what kind of why."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import pydantic
import typer

from gobroke_dist.errors import (
    ApplicationNotFound,
    BrokeError,
    CouldNotCreateServer,
    LogicError,
    NoEndpointProvided,
    RedisUnavailable,
)
from gobroke_dist.logs import masked
from gobroke_dist.supervisor import StartFailed


class Exit(IntEnum):
    """Exit codes of every command."""

    FAILED = 1
    USAGE = 2
    REDIS = 3
    ADDRESS = 4
    UNTRIED = 5


EXIT_CODES = (
    "Exit codes: 0 ended as asked; 1 failed; 2 wrong application path or usage; "
    "3 Redis can't be reached or started; 4 an address can't be used, such as a port in use; "
    "5 what was to be checked could not be tried; 143 or 130 an edge that a second SIGTERM or SIGINT ended at once."
)

_CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (ApplicationNotFound, Exit.USAGE),
    (NoEndpointProvided, Exit.USAGE),
    (LogicError, Exit.USAGE),
    (RedisUnavailable, Exit.REDIS),
    (CouldNotCreateServer, Exit.ADDRESS),
    (BrokeError, Exit.FAILED),
)


def fail(text: str, code: int) -> typer.Exit:
    """Print one line to standard error; raise what is returned."""
    typer.echo(f"gobroke: {masked(' '.join(text.split()))}", err=True)
    return typer.Exit(code)


@contextmanager
def explained() -> Iterator[None]:
    """Turn what this package raises on purpose into a line and an exit code. A defect keeps its traceback."""
    try:
        yield
    except StartFailed as error:
        raise fail(f"{error.child} did not start: {str(error).removeprefix('gobroke: ')}", error.exit_code) from None
    except BrokeError as error:
        raise fail(str(error), next(code for kind, code in _CODES if isinstance(error, kind))) from None
    except pydantic.ValidationError as error:
        raise fail(_first_problem(error), Exit.USAGE) from None


def end_quietly_on_sigterm() -> None:
    """Until a role has its own way to end: leave at SIGTERM with exit code 0."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def _first_problem(error: pydantic.ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    name = ".".join(map(str, problem["loc"]))
    return f"setting {name} (GOBROKE_{name.upper()}): {problem['msg']}"
