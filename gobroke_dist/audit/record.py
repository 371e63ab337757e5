"""What an audit writes down, in the order in which it happened.

One append-only record holds everything; the verdict is computed from it and from nothing else. Times are
milliseconds of the record's own Redis, so that no machine's clock counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sent:
    """A message was handed to the framework, and accepted.

    ``at`` is when the first try began; ``parts`` is how many effects its handler is to have.
    """

    key: str
    number: int
    parts: int
    at: int


@dataclass(frozen=True, slots=True)
class Booted:
    """A worker process wrote to the record for the first time. ``wall`` is its own clock, Unix milliseconds."""

    worker: str
    wall: int
    at: int


@dataclass(frozen=True, slots=True)
class Started:
    """A handler was entered. ``run`` is unique for each entry; the rest is what the framework told the handler."""

    run: str
    key: str
    number: int
    worker: str
    fence: int
    attempt: int
    recovered: bool
    at: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A handler is about to return, or (not ``good``) to raise."""

    run: str
    good: bool
    at: int


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a handler sent through the framework has come out of it.

    ``run`` is the run of the handler that sent it; ``part`` counts what that run sent, from 0. ``uuid`` is the sent
    message's; ``fence``, ``attempt`` and ``recovered`` are of its own delivery; ``seen`` is unique for each time that
    it came out.
    """

    seen: str
    run: str
    key: str
    number: int
    part: int
    uuid: str
    fence: int
    attempt: int
    recovered: bool
    at: int


@dataclass(frozen=True, slots=True)
class Disturbed:
    """Something was done to a worker: ``kill``, ``stop``, ``term`` …; an empty ``worker`` means: not known to which."""

    what: str
    worker: str
    at: int


@dataclass(frozen=True, slots=True)
class Outage:
    """Redis did not do its work from ``since`` to ``at``, or not for all workers."""

    what: str
    since: int
    at: int


Entry = Sent | Booted | Started | Ended | Effect | Disturbed | Outage

_KINDS: dict[str, Callable[..., Entry]] = {
    kind.__name__: kind for kind in (Sent, Booted, Started, Ended, Effect, Disturbed, Outage)
}


class LineInvalid(ValueError):
    """A line of a record that is none, or is one of another version."""


def encode(entry: Entry) -> bytes:
    """One line without its time, which is the record's to give."""
    return json.dumps([type(entry).__name__, *astuple(entry)[:-1]], separators=(",", ":")).encode()


def decode(line: bytes, at: int) -> Entry:
    """The entry of a line. Raises ``LineInvalid``."""
    try:
        kind, *fields = json.loads(line)
        return _KINDS[kind](*_checked(fields), at)
    except (KeyError, TypeError, ValueError) as error:
        raise LineInvalid(f"not a line of an audit's record: {line[:80]!r}") from error


def _checked(fields: list[Any]) -> list[Any]:
    if not all(isinstance(field, str | int) for field in fields):
        raise TypeError("a field is neither a text nor a number")
    return fields
