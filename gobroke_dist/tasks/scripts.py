"""The Lua scripts of the queues: one file per operation, run by their digest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from gobroke_dist.backends.redis.scripts import Script, made_of
from gobroke_dist.keys import QueueKeys

ScriptName = Literal[
    "admit",
    "discard",
    "enqueue",
    "exchange",
    "fire",
    "flush",
    "leave",
    "pause",
    "reclaim",
    "recover",
    "renew",
    "requeue",
    "resume",
    "revive",
    "skip",
    "start",
]
Argument = str | bytes | int

_INCLUDE = "--#include "


@cache
def script(name: ScriptName) -> Script:
    """The script of this name."""
    folder = files(__package__) / "lua"
    text = (folder / f"{name}.lua").read_text("utf-8")
    first, _, body = text.partition("\n")
    assert first.startswith(_INCLUDE), f"{name}.lua names no parts"
    parts = [(folder / "parts" / f"{part}.lua").read_text("utf-8") for part in first[len(_INCLUDE) :].split()]
    return made_of("\n".join([*parts, body]))


def queue_keys(queue: QueueKeys) -> list[str]:
    """The keys that ``parts/queue.lua`` reads, in its order."""
    return [
        queue.ready,
        queue.messages,
        queue.delayed_messages,
        queue.heads,
        queue.keys,
        queue.fences,
        queue.later,
        queue.counters,
        *queue.seen,
        queue.bell,
        queue.halted,
    ]


def command(name: ScriptName, keys: Sequence[str], args: Sequence[Argument]) -> tuple[Any, ...]:
    """What EVALSHA is to be called with."""
    return (script(name).sha, len(keys), *keys, *args)
