"""The Lua scripts of the queues: one file per operation, run by their digest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

from gobroke_dist.backends.redis.scripts import INCLUDE, Script, made_of, part
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


@cache
def script(name: ScriptName) -> Script:
    """The script of this name."""
    folder = files(__package__) / "lua"
    text = (folder / f"{name}.lua").read_text("utf-8")
    first, _, body = text.partition("\n")
    assert first.startswith(INCLUDE), f"{name}.lua names no parts"
    parts = [_part(folder / "parts", name) for name in first.removeprefix(INCLUDE).split()]
    return made_of("\n".join([*parts, body]))


def _part(folder: Traversable, name: str) -> str:
    own = folder / f"{name}.lua"
    return own.read_text("utf-8") if own.is_file() else part(name)


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
